"""Images that the bank makes of pristine photos, scored by the mean opinion of their class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from dsmix_aug import DistortionBank
from dsmix_aug._progress import track
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.made_once import make_once, write_reference
from dsmix_aug.nriqa.datasets.photos import PhotoSet, read_shrunk, write_png
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: Name of the dataset, as in ``--data opinions=2000``.
OPINIONS_NAME = "opinions"
OPINIONS_TARGET = "mean opinion of the distortion's class, 1 to 5 (KADID-10k)"


def check_counts(name: str, text: str) -> tuple[int, int | None]:
    """Return how many images a text asks for, and how many of them are made of held-out photos.

    ``"2000"`` asks for 2,000 images, ``"2000+500"`` for 2,000 of training photos and 500 of held-out ones.

    Args:
        name: Name of the dataset, for the message.
        text: The text.

    Returns:
        The number of all images, and that of held-out photos: ``None`` where the text leaves it to the photos.

    Raises:
        ValueError: If it is neither an integer of at least 2, nor two of at least 1.
    """
    training, plus, held_out = text.partition("+")
    if plus and all(part.isdecimal() and int(part) > 0 for part in (training, held_out)):
        return int(training) + int(held_out), int(held_out)
    if plus or not text.isdecimal() or int(text) < 2:
        raise ValueError(
            f"data: {name} should be a number of images, at least 2, or TRAINING+HELD_OUT such as 2000+500, "
            f"got {text!r}"
        )
    return int(text), None


def make_opinion_photos(
    photos: PhotoSet, folder: Path, photo_side: int, count: int, seed: int, held_out: int | None = None
) -> ScoredSet:
    """Distort whole pristine photos with the bank, score each by the opinion of its class, and write both to a folder.

    Classes come equally often. Images of training photos are the training side of the split, those of held-out photos
    the test side. A result that equals its photo although its class should change it
    (a colour distortion of a grey photo) is left out. The images are made once: where the folder has them, they are
    read.

    Args:
        photos: The pristine photos.
        folder: Where to write: the images as PNG, ``scores.csv`` last.
        photo_side: Photos are shrunk to this shorter side in px.
        count: Number of images, at least 2.
        seed: Seed of the choice of photos and classes, and of the distortions' draws.
        held_out: How many of the images are made of held-out photos. Default: in the proportion of the photos.
    """
    make_side = partial(_make_side, folder=folder, photo_side=photo_side, seed=seed)
    return make_once(photos, folder, count, held_out, make_side, OPINIONS_NAME, OPINIONS_TARGET)


def _make_side(
    side: str, photos: Sequence[Path], count: int, folder: Path, photo_side: int, seed: int
) -> list[dict[str, str]]:
    """Make the images of one side of the split; each photo and each class come in turn."""
    bank = DistortionBank()
    generator = make_generator(seed, OPINIONS_NAME, side)
    rounds = -(-count // bank.num_classes)
    labels = torch.cat([torch.randperm(bank.num_classes, generator=generator) for _ in range(rounds)])[:count]
    order = torch.randperm(len(photos), generator=generator)[torch.arange(count) % len(photos)]
    rows = []
    for number in track(order.unique().tolist(), f"distort {side} photos", "photos"):
        name = f"{side}_{number:05d}"
        rows += _distort(photos[number], name, labels[order == number], bank, folder, photo_side, seed)
    return [{**row, "split": side} for row in rows]


def _distort(
    photo: Path, name: str, labels: torch.Tensor, bank: DistortionBank, folder: Path, photo_side: int, seed: int
) -> list[dict[str, str]]:
    references = read_shrunk(photo, photo_side).expand(len(labels), -1, -1, -1)
    reference = write_reference(references[0], folder, name)
    generator = make_generator(seed, OPINIONS_NAME, name)
    images, _ = bank(references, labels=labels, generator=generator)
    unchanged = (images == references).flatten(1).all(1) & (labels != 0)
    rows = []
    for number, label in enumerate(labels.tolist()):
        if not unchanged[number]:
            distortion = bank.class_names[label]
            path = folder / f"{name}_{number}_{distortion}.png"
            write_png(images[number], path)
            score = f"{bank.opinion_scores[label].item():.4f}"
            rows.append({"image": path.name, "score": score, "reference": reference, "distortion": distortion})
    return rows
