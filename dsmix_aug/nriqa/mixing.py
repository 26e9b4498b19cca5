"""How the rows of a comparison mix their batches: DSMix, CutMix, MixUp, and DSMix by another sample's map."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DSMix, Reference, SensitivityMap, sensitivity_map
from dsmix_aug.nriqa.config import Config
from dsmix_aug.nriqa.photos import to_float
from dsmix_aug.nriqa.rows import Pretraining

#: (images, labels, references, generator) -> mixed images, soft labels, mixed references; images are uint8.
Mixer = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor]]


def make_mixer(pretraining: Pretraining, config: Config, num_classes: int) -> Mixer | None:
    """Return what mixes the batches of a pre-training, or ``None`` where nothing is mixed."""
    if pretraining.mixing is None:
        return None
    if pretraining.mixing == "mixup":
        return MixUp(num_classes, config.mix_probability)
    mix = DSMix(
        num_classes=num_classes,
        patch_size=config.patch_size,
        weighting="area" if pretraining.mixing == "cutmix" else config.weighting,
        p=config.mix_probability,
    )
    return CutAndPaste(mix, pretraining.shuffled_maps)


class CutAndPaste:
    """DSMix of a batch with its references; equal generators give equal boxes, whatever the labels' weighting.

    Args:
        mix: The transform.
        shuffled_maps: Whether labels are weighted by the map of the sample half a batch away.
    """

    def __init__(self, mix: DSMix, shuffled_maps: bool) -> None:
        self.mix = mix
        self.shuffled_maps = shuffled_maps

    def __call__(
        self, images: Tensor, labels: Tensor, references: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix a batch."""
        if not self.shuffled_maps:
            images, labels, mixed = self.mix(images, labels, Reference(references), generator=generator)
            return images, labels, mixed.as_subclass(Tensor)
        maps = sensitivity_map(images, references, self.mix.patch_size)
        foreign = SensitivityMap(
            maps.as_subclass(Tensor).roll(len(maps) // 2, 0), patch_size=maps.patch_size, canvas_size=maps.canvas_size
        )
        images, labels, _, mixed = self.mix(images, labels, foreign, Reference(references), generator=generator)
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
