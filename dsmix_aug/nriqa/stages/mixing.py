"""How the rows of a comparison mix their batches: DSMix, CutMix, MixUp, and DSMix by another sample's map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, DSMix, Reference, SensitivityMap, sensitivity_map
from dsmix_aug.mixing import Weighting
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.photos import random_crop, read_shrunk, to_float
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import Pretraining

#: (images, labels, references, generator) -> mixed images, soft labels, mixed references; images are uint8.
Mixer = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor]]

#: Weightings by the mass of a map that was divided by the mean DSM of its image's class.
PER_CLASS = ("mass_per_class", "annoyance", "mass_and_area")
#: Number of photos that the mean DSM of each class is measured on.
MEASURED_PHOTOS = 24
#: Smallest mean DSM of a class, because maps are divided by it.
SMALLEST_MEAN = 1e-4


def make_mixer(
    pretraining: Pretraining, config: Config, bank: DistortionBank, class_means: Callable[[], Tensor]
) -> Mixer | None:
    """Return the mixer of a pre-training's batches, or ``None`` where nothing is mixed.

    Args:
        pretraining: The pre-training.
        config: The run's config.
        bank: The distortions of the batches.
        class_means: Returns :func:`mean_dsm_per_class`; called where the weighting asks how strong each class is.
    """
    if pretraining.mixing is None:
        return None
    if pretraining.mixing == "mixup":
        return MixUp(bank.num_classes, config.mix_probability)
    own = pretraining.weighting or config.weighting
    weighting = "area" if pretraining.mixing == "cutmix" else own
    mix = DSMix(
        num_classes=bank.num_classes,
        patch_size=config.patch_size,
        weighting=cast(Weighting, "mass" if weighting in PER_CLASS else weighting),
        p=config.mix_probability,
    )
    partners = opinions_of(bank) if pretraining.like_scores else None
    if weighting not in PER_CLASS:
        return CutAndPaste(mix, pretraining.shuffled_maps, scores=partners)
    return CutAndPaste(
        mix,
        pretraining.shuffled_maps,
        class_means=class_means(),
        annoyance=class_annoyance(bank) if weighting == "annoyance" else None,
        area_share=0.5 if weighting == "mass_and_area" else 0.0,
        scores=partners,
    )


def opinions_of(bank: DistortionBank) -> Tensor:
    """Return the mean opinion of each class: (classes,) float32.

    Raises:
        ValueError: If people were not asked about a class.
    """
    opinions = bank.opinion_scores
    unknown = opinions.isnan()
    if unknown.any():
        raise ValueError(f"bank: there is no opinion of {bank.class_names[int(unknown.nonzero()[0])]!r}")
    return opinions


def class_annoyance(bank: DistortionBank) -> Tensor:
    """Return how much worse than the best class people find each class, in points of opinion: (classes,) float32.

    Raises:
        ValueError: If people were not asked about a class.
    """
    opinions = opinions_of(bank)
    return opinions.max() - opinions


def mean_dsm_per_class(config: Config, bank: DistortionBank, photos: Sequence[Path]) -> Tensor:
    """Return the mean DSM of each of the bank's classes over crops of some of the photos: (classes,) float32."""
    generator = make_generator(config.seed, "mean DSM per class")
    labels = torch.arange(bank.num_classes)
    chosen = photos[:: max(1, len(photos) // MEASURED_PHOTOS)][:MEASURED_PHOTOS]
    means = torch.zeros(bank.num_classes)
    for photo in chosen:
        crop = random_crop(read_shrunk(photo, config.photo_side), config.pretrain.crop_size, generator)
        references = crop.expand(len(labels), -1, -1, -1)
        distorted, _ = bank(references, labels=labels, generator=generator)
        means += sensitivity_map(distorted, references, config.patch_size).as_subclass(Tensor).mean((1, 2))
    return (means / len(chosen)).clamp(min=SMALLEST_MEAN)


class CutAndPaste:
    """DSMix of a batch with its references; equal generators give equal boxes, whatever the labels' weighting.

    Args:
        mix: The transform.
        shuffled_maps: Whether labels are weighted by the map of the sample half a batch away.
        class_means: (classes,), the mean DSM of each class, which maps are divided by: a class that changes pixels
            little then keeps its share of the label next to one that changes them much. ``None``: maps as they are.
        annoyance: (classes,), what maps are multiplied with then, so that a region counts by how much it bothers
            people. ``None``: 1.
        area_share: Share of a patch's weight that is its area, whatever its map says.
        scores: (classes,), by which a batch is sorted first, so that the partner of an image is the one whose class is
            next in score; only the worst image gets its part from the best. ``None``: partners are as they come.
    """

    def __init__(
        self,
        mix: DSMix,
        shuffled_maps: bool = False,
        class_means: Tensor | None = None,
        annoyance: Tensor | None = None,
        area_share: float = 0.0,
        scores: Tensor | None = None,
    ) -> None:
        self.mix = mix
        self.shuffled_maps = shuffled_maps
        self.class_means = class_means
        self.annoyance = annoyance
        self.area_share = area_share
        self.scores = scores

    def __call__(
        self, images: Tensor, labels: Tensor, references: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix a batch."""
        if self.scores is not None:
            order = self.scores[labels].argsort(stable=True)
            images, labels, references = images[order], labels[order], references[order]
        dsm = sensitivity_map(images, references, self.mix.patch_size)
        weights = dsm.as_subclass(Tensor)
        if self.class_means is not None:
            weights = weights / self.class_means[labels, None, None]
        if self.annoyance is not None:
            weights = weights * self.annoyance[labels, None, None]
        if self.area_share:
            weights = (1 - self.area_share) * weights + self.area_share
        if self.shuffled_maps:
            weights = weights.roll(len(weights) // 2, 0)
        weights = SensitivityMap(weights, patch_size=dsm.patch_size, canvas_size=dsm.canvas_size)
        images, labels, _, mixed = self.mix(images, labels, weights, Reference(references), generator=generator)
        return images, labels, mixed.as_subclass(Tensor)


class MixUp:
    """``v2.MixUp`` of a batch with its references, reproducible by a generator.

    Args:
        num_classes: Number of classes.
        p: Probability that a batch is mixed.
    """

    def __init__(self, num_classes: int, p: float) -> None:
        self.mix = v2.MixUp(num_classes=num_classes)
        self.num_classes = num_classes
        self.p = p

    def __call__(
        self, images: Tensor, labels: Tensor, references: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix a batch."""
        is_mixed = torch.rand((), generator=generator) < self.p
        seed = int(torch.randint(2**62, (), generator=generator))
        if not is_mixed:
            return images, torch.nn.functional.one_hot(labels, self.num_classes).to(torch.float32), references
        pair = [tv_tensors.Image(to_float(batch)) for batch in (images, references)]
        with torch.random.fork_rng(devices=()):  # v2.MixUp takes no generator
            torch.manual_seed(seed)
            mixed, soft_labels, mixed_references = self.mix(pair[0], labels, pair[1])
        return _to_uint8(mixed), soft_labels, _to_uint8(mixed_references)


def _to_uint8(images: Tensor) -> Tensor:
    return images.as_subclass(Tensor).mul(255).round_().to(torch.uint8)
