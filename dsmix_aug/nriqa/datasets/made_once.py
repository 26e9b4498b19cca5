"""Datasets that are made of pristine photos: once, both sides of the split, into a folder that later runs read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.datasets.csv_scores import load_csv
from dsmix_aug.nriqa.datasets.photos import PhotoSet, write_png
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: The folder of the pristine photos, below that of the images.
REFERENCES = "references"
#: Makes some images of a side's photos, (side, photos, number of images), and returns their rows of the table.
MakeSide = Callable[[str, Sequence[Path], int], list[dict[str, str]]]


def write_reference(photo: Tensor, folder: Path, name: str) -> str:
    """Write a pristine photo (3, H, W) uint8 beside the images that are made of it; return its name in the table."""
    path = folder / REFERENCES / f"{name}.png"
    write_png(photo, path)
    return path.relative_to(folder).as_posix()


def make_once(
    photos: PhotoSet, folder: Path, count: int, held_out: int | None, make_side: MakeSide, name: str, target: str
) -> ScoredSet:
    """Make the images of both sides and write their table, or read what the folder has.

    Args:
        photos: The pristine photos.
        folder: Where the images are; its ``scores.csv`` is written last.
        count: Number of images, at least 2.
        held_out: How many of them are made of held-out photos. None: in the proportion of the photos, at least one.
        make_side: What makes the images of a side.
        name: Name of the dataset.
        target: What its scores mean.
    """
    table = folder / "scores.csv"
    if not table.is_file():
        if held_out is None:
            held_out = max(1, round(count * len(photos.held_out) / (len(photos.held_out) + len(photos.training))))
        rows = make_side("test", photos.held_out, held_out) + make_side("train", photos.training, count - held_out)
        with replace_when_done(table) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
    return load_csv(table, name, target)
