"""The return type of every loader of a scored dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsmix_aug.nriqa.datasets.photos import Skipped


@dataclass(frozen=True)
class ScoredSet:
    """Images with a quality score each.

    Attributes:
        name: Name in tables.
        target: What the scores are, in words, e.g. ``"MOS"``.
        images: The image files.
        scores: (N,) float64, higher is better.
        groups: N names; images with equal names share their content and never part in a split. The reference where
            there is one, else the image itself; images of equal bytes have one name.
        split: N entries ``"train"`` or ``"test"`` where the dataset has an official split, else ``None``.
        skipped: Images that were left out.
        fingerprint: Hash of names, contents and scores.
        root: The dataset's folder, which names of images in tables are relative to.
        references: N files of what the images were made of, ``None`` for an image whose reference has none; empty where
            the dataset names no references.
    """

    name: str
    target: str
    images: tuple[Path, ...]
    scores: np.ndarray
    groups: tuple[str, ...]
    split: tuple[str, ...] | None
    skipped: tuple[Skipped, ...]
    fingerprint: str
    root: Path = Path()
    references: tuple[Path | None, ...] = ()

    def relative_name(self, path: Path) -> str:
        """Return an image's name in tables: its path relative to the root, or as it is where it lies elsewhere."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()
