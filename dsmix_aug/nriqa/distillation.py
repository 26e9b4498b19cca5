"""Distillation: how pre-training keeps a teacher's features while it learns distortions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug.nriqa.backbones import Backbone


class Distillation(nn.Module):
    """1 - cosine similarity of pooled feature maps of student and teacher on the same distorted, mixed image.

    A feature map is pooled to its mean and its standard deviation, what the probe will read from it. Maps are paired
    from the last one backwards, as far as both networks have some; where their widths differ, a linear projection,
    trained along and then dropped, leads from the student's to the teacher's. The loss is the mean over pairs and
    statistics. A teacher's map of one pixel, as torchvision's classifiers give, has a mean alone.

    Args:
        channels: Channels of each of the student's maps.
        teacher: The frozen network. It is no submodule: neither trained nor saved.
        distilled_maps: ``"last"`` or ``"all"``.
        weight: Factor of the loss.

    Source: the paper distils an ImageNet teacher's features for semantics (Shi et al., "DSMix", ECCV 2024); which
    features, and how they are compared, is ours.
    """

    def __init__(
        self, channels: Sequence[int], teacher: Backbone, distilled_maps: Literal["last", "all"], weight: float
    ) -> None:
        super().__init__()
        self._teacher = (teacher,)  # in a tuple, where nn.Module does not look for submodules
        self.weight = weight
        self.count = 1 if distilled_maps == "last" else min(len(channels), len(teacher.channels))
        widths = zip(channels[-self.count :], teacher.channels[-self.count :], strict=True)
        self.projections = nn.ModuleList(
            nn.Identity() if own == other else nn.Linear(own, other, bias=False) for own, other in widths
        )

    def forward(self, images: Tensor, maps: list[Tensor]) -> Tensor:
        """Return the weighted loss.

        Args:
            images: (B, 3, H, W), float in [0, 1].
            maps: The student's feature maps of them.
        """
        with torch.no_grad():
            targets = self._teacher[0](images)
        losses = []
        for own, target, projection in zip(maps[-self.count :], targets[-self.count :], self.projections, strict=True):
            for statistic in (_mean,) if target.shape[2:].numel() == 1 else (_mean, _deviation):
                similarity = F.cosine_similarity(projection(statistic(own)), statistic(target))
                losses.append((1 - similarity).mean())
        return self.weight * torch.stack(losses).mean()


def _mean(features: Tensor) -> Tensor:
    return features.float().mean((2, 3))


def _deviation(features: Tensor) -> Tensor:
    # The small constant keeps the gradient of the square root finite where a map is flat.
    return (features.float().var((2, 3), correction=0) + 1e-6).sqrt()
