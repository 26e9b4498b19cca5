"""Distillation: how pre-training keeps a teacher's features while it learns distortions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug.nriqa.base.devices import bfloat16_autocast
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import mean_and_deviation


class Distillation(nn.Module):
    """1 - cosine similarity of pooled feature maps of student and teacher on the same distorted, mixed image.

    A feature map is pooled to its mean and its standard deviation, which the probe will read from it. Maps are paired
    from the last one backwards, as far as both networks have some; where their widths differ, a linear projection,
    trained along and then dropped, leads from the student's to the teacher's. The loss is the mean over pairs and
    statistics. A teacher's map of one pixel, as torchvision's classifiers give, has only a mean.

    Args:
        channels: Channels of each of the student's maps.
        teacher: The frozen network. It is not a submodule: neither trained nor saved.
        distilled_maps: ``"last"`` or ``"all"``.
        weight: Factor of the loss.
        autocast: Whether the teacher runs under bfloat16 autocast, on devices that are faster with it.

    Source: the paper distils an ImageNet teacher's features for semantics (Shi et al., "DSMix", ECCV 2024); which
    features, and how they are compared, is ours.
    """

    def __init__(
        self,
        channels: Sequence[int],
        teacher: Backbone,
        distilled_maps: Literal["last", "all"],
        weight: float,
        autocast: bool = False,
    ) -> None:
        super().__init__()
        self._teacher = (teacher.folded(),)  # in a tuple, where nn.Module does not look for submodules
        self.weight = weight
        self.autocast = autocast
        self.count = 1 if distilled_maps == "last" else min(len(channels), len(teacher.channels))
        widths = zip(channels[-self.count :], teacher.channels[-self.count :], strict=True)
        self.projections = nn.ModuleList(
            nn.Identity() if own == other else nn.Linear(own, other, bias=False) for own, other in widths
        )

    def forward(self, images: Tensor, pooled: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the weighted loss.

        Args:
            images: (B, 3, H, W), float in [0, 1].
            pooled: The student's feature maps of them, after :func:`pool_maps`.
        """
        with torch.no_grad(), bfloat16_autocast(images.device, self.autocast):
            targets = self._teacher[0](images)[-self.count :]
        losses = []
        for own, target, projection in zip(pooled[-self.count :], targets, self.projections, strict=True):
            count = 1 if target.shape[2:].numel() == 1 else 2
            for seen, wanted in zip(own[:count], pool_maps([target])[0][:count], strict=True):
                losses.append((1 - F.cosine_similarity(projection(seen), wanted)).mean())
        return self.weight * torch.stack(losses).mean()


def pool_maps(maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return mean and standard deviation of each feature map (B, C, h, w): (B, C) each, of small gradient if flat."""
    return [mean_and_deviation(features, smallest_variance=1e-6) for features in maps]
