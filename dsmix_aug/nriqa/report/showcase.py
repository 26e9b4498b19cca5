"""Examples for the report, made from held-out photos: distorted versions, sensitivity maps, a mixed image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsmix_aug import DSMix, Reference, sensitivity_map
from dsmix_aug.mixing.functional import Weighting
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.distorted_photos import ssim
from dsmix_aug.nriqa.datasets.photos import read_center, read_shrunk, to_float
from dsmix_aug.nriqa.runs.run import Run

SIDE = 288
SHOWN_CLASSES = (
    ("gaussian_blur", 4),
    ("motion_blur", 4),
    ("jpeg2000", 5),
    ("jpeg", 5),
    ("white_noise_color", 4),
    ("impulse_noise", 4),
    ("color_diffusion", 5),
    ("color_shift", 5),
    ("jitter", 4),
    ("color_block", 4),
    ("contrast_change", 5),
)
MAP_CLASSES = (("white_noise", 5), ("color_block", 5), ("darken", 4), ("jpeg", 5), ("gaussian_blur", 5))
MIXED_CLASSES = (("jpeg", 5), ("gaussian_blur", 5))
DRAWS = 20
WEIGHTINGS: tuple[Weighting, ...] = ("mass", "retained", "area")


@dataclass(frozen=True)
class Distorted:
    """A distorted photo, its SSIM to the photo, and its maps where an estimator is there."""

    title: str
    image: Tensor
    ssim: float
    true_map: Tensor
    predicted_map: Tensor | None


@dataclass(frozen=True)
class Mixed:
    """Two distorted photos mixed by DSMix: (3, H, W) images, their maps, and each weighting's label confidences."""

    titles: tuple[str, str]
    sources: tuple[Tensor, Tensor]
    source_maps: tuple[Tensor, Tensor]
    image: Tensor
    mixed_map: Tensor
    confidences: dict[str, tuple[float, float]]


def photo_of(run: Run, number: int) -> Tensor:
    """Return the centre of a held-out photo, its side a multiple of the patch size."""
    path = run.photos.held_out[number % len(run.photos.held_out)]
    photo = read_shrunk(path, run.config.photo_side)
    side = min(SIDE, *photo.shape[-2:])
    return read_center(path, run.config.photo_side, side - side % run.config.patch_size)


def distort(run: Run, photo: Tensor, classes: tuple[tuple[str, int], ...], with_maps: bool) -> list[Distorted]:
    """Return ``photo`` distorted by each (type, level), with predicted maps if asked for."""
    references = photo.expand(len(classes), -1, -1, -1)
    labels = [run.bank.encode(*entry) for entry in classes]
    images, _ = run.bank(references, labels=labels, generator=make_generator(run.config.seed, "examples"))
    true_maps = sensitivity_map(images, references, run.config.patch_size).as_subclass(Tensor)
    predicted: list[Tensor | None] = [None] * len(classes)
    if with_maps:
        with torch.no_grad():
            predicted = list(run.estimator(run.device)(to_float(images.to(run.device))).float().cpu())
    return [
        Distorted(f"{name} {level}", image, ssim(image, photo), true_map, predicted_map)
        for (name, level), image, true_map, predicted_map in zip(classes, images, true_maps, predicted, strict=True)
    ]


def mix(run: Run) -> Mixed:
    """Mix two distorted held-out photos, with one box, under every weighting."""
    patch_size = run.config.patch_size
    photos = [photo_of(run, number) for number in (0, 1)]
    side = min(photo.shape[-1] for photo in photos)
    references = torch.stack([photo[..., :side, :side] for photo in photos])
    labels = [run.bank.encode(*entry) for entry in MIXED_CLASSES]
    images, _ = run.bank(references, labels=labels, generator=make_generator(run.config.seed, "examples"))

    def mix_by(weighting: Weighting, draw: int) -> tuple[Tensor, Tensor, tuple[float, float]]:
        mixer = DSMix(num_classes=run.bank.num_classes, patch_size=patch_size, weighting=weighting)
        generator = make_generator(run.config.seed, "example of mixing", draw)
        mixed, soft_labels, mixed_references = mixer(
            images, torch.tensor(labels), Reference(references), generator=generator
        )
        first, second = (float(soft_labels[0, label]) for label in labels)
        return mixed[0], mixed_references[0], (first, second)

    # Of a few draws the one whose box is nearest to half the image: very small and very large ones show little.
    draw = min(range(DRAWS), key=lambda number: abs(mix_by("area", number)[2][0] - 0.5))
    mixed, mixed_reference, _ = mix_by("area", draw)
    maps = sensitivity_map(images, references, patch_size).as_subclass(Tensor)
    mixed_map = sensitivity_map(mixed, mixed_reference.as_subclass(Tensor), patch_size).as_subclass(Tensor)
    first_title, second_title = (f"{name} {level}" for name, level in MIXED_CLASSES)
    return Mixed(
        titles=(first_title, second_title),
        sources=(images[0], images[1]),
        source_maps=(maps[0], maps[1]),
        image=mixed,
        mixed_map=mixed_map,
        confidences={weighting: mix_by(weighting, draw)[2] for weighting in WEIGHTINGS},
    )
