"""Images that show what KADID-10k did not ask about, made of pristine photos, scored by an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from dsmix_aug._progress import track
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.estimated_opinions import EstimatedDistortions
from dsmix_aug.nriqa.datasets.made_once import make_once, write_reference
from dsmix_aug.nriqa.datasets.photos import PhotoSet, read_shrunk, write_png
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: Name of the dataset, as in ``--data estimated=2000``.
ESTIMATED_NAME = "estimated"
ESTIMATED_TARGET = "opinion, 1 to 5, estimated from HaarPSI (nobody was asked)"


def make_estimated_photos(
    photos: PhotoSet, folder: Path, photo_side: int, count: int, seed: int, held_out: int | None = None
) -> ScoredSet:
    """Distort whole pristine photos as cameras and the web do, score each by an estimate, and write both to a folder.

    See :class:`~dsmix_aug.nriqa.datasets.estimated_opinions.EstimatedDistortions`. Images of training photos are the
    training side of the split, those of held-out photos the test side. The images are made once: where the folder has
    them, they are read.

    Args:
        photos: The pristine photos.
        folder: Where to write: the images as PNG, ``scores.csv`` last.
        photo_side: Photos are shrunk to this shorter side in px.
        count: Number of images, at least 2.
        seed: Seed of the choice of photos and of the distortions' draws.
        held_out: How many of the images are made of held-out photos. Default: in the proportion of the photos.
    """
    make_side = partial(_make_side, folder=folder, photo_side=photo_side, seed=seed)
    return make_once(photos, folder, count, held_out, make_side, ESTIMATED_NAME, ESTIMATED_TARGET)


def _make_side(
    side: str, photos: Sequence[Path], count: int, folder: Path, photo_side: int, seed: int
) -> list[dict[str, str]]:
    """Make the images of one side of the split; photos come in turn."""
    distort = EstimatedDistortions()
    generator = make_generator(seed, ESTIMATED_NAME, side)
    order = torch.randperm(len(photos), generator=generator)[torch.arange(count) % len(photos)]
    rows = []
    for number in track(order.unique().tolist(), f"distort {side} photos, estimated", "photos"):
        prefix = f"{side}_{number:05d}"
        copies = int((order == number).sum())
        references = read_shrunk(photos[number], photo_side).expand(copies, -1, -1, -1)
        reference = write_reference(references[0], folder, prefix)
        made = distort(references, make_generator(seed, ESTIMATED_NAME, prefix))
        for copy, (image, opinion, name) in enumerate(zip(*made, strict=True)):
            path = folder / f"{prefix}_{copy}_{name}.png"
            write_png(image, path)
            rows.append({"image": path.name, "score": f"{opinion.item():.4f}", "reference": reference})
            rows[-1] |= {"distortion": name, "split": side}
    return rows
