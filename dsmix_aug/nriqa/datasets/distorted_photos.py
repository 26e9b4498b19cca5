"""A stand-in for human scores: pristine photos, distorted by the bank, scored by a full-reference metric."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from dsmix_aug import DistortionBank
from dsmix_aug._progress import track
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.csv_scores import load_csv
from dsmix_aug.nriqa.datasets.photos import random_crop, read_shrunk, write_png
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: Letters of a photo's name that those of its distorted images keep; a file's name has 255 bytes at most.
NAME_LENGTH = 64

STAND_IN_NAME = "held-out photos"
STAND_IN_TARGET = "SSIM to the pristine photo (a stand-in, not a human score)"


def make_distorted_photos(
    photos: Sequence[Path], folder: Path, photo_side: int, side: int, levels: Sequence[int], seed: int
) -> ScoredSet:
    """Distort crops of every photo with every class of the bank, score them by SSIM, and write both to a folder.

    Each class has a random crop of its own, so that a photo shows more than one content; the photo is the reference
    that splits go by. A result that equals its crop (a colour distortion of a grey photo) is left out. The images are
    made once: where the folder has them already, they are read.

    Args:
        photos: Pristine photos, each at least ``side`` px high and wide.
        folder: Where to write: the images as PNG, ``scores.csv`` last.
        photo_side: Photos are shrunk to this shorter side in px.
        side: Side of the crops in px.
        levels: Levels to distort at.
        seed: Seed of the crops and of the distortions' draws.
    """
    table = folder / "scores.csv"
    if not table.is_file():
        bank = DistortionBank(levels=levels, pristine=False)
        rows: list[dict[str, str]] = []
        for number, photo in enumerate(track(photos, "distort held-out photos", "photos")):
            name = f"{number:03d}_{_file_name_part(photo.stem)}"
            rows += _distort(read_shrunk(photo, photo_side), name, bank, folder, side, make_generator(seed, name))
        with replace_when_done(table) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
    return load_csv(table, STAND_IN_NAME, STAND_IN_TARGET)


def _distort(
    photo: Tensor, name: str, bank: DistortionBank, folder: Path, side: int, generator: torch.Generator
) -> list[dict[str, str]]:
    references = torch.stack([random_crop(photo, side, generator) for _ in range(bank.num_classes)])
    images, _ = bank(references, labels=torch.arange(bank.num_classes), generator=generator)
    changed = (images != references).flatten(1).any(1)
    classes = [distortion for distortion, is_changed in zip(bank.class_names, changed, strict=True) if is_changed]
    paths = [folder / f"{name}_{distortion}.png" for distortion in classes]
    with ThreadPoolExecutor(2) as pool:
        scores = list(pool.map(ssim, images[changed], references[changed]))
        list(pool.map(write_png, images[changed], paths))
    return [
        {"image": path.name, "score": f"{score:.6f}", "reference": name, "distortion": distortion}
        for path, score, distortion in zip(paths, scores, classes, strict=True)
    ]


def ssim(image: Tensor, reference: Tensor) -> float:
    """Return the SSIM of two (3, H, W) uint8 images, with the Gaussian window of its authors, over RGB."""
    first, second = (picture.permute(1, 2, 0).numpy() for picture in (image, reference))
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(first, second, channel_axis=2, data_range=255, **settings))


def _file_name_part(text: str) -> str:
    """Return a text as part of a file's name, on any file system and in a CSV file."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:NAME_LENGTH]
