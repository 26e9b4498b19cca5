"""Distortions of brightness: brighten, darken, mean shift."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dsmix_aug.distortions._distortion import Distortion, Draws, register


@register
class MeanShift(Distortion):
    """Add a constant to every channel: clamp(x + d, 0, 1).

    Two-sided, as published: levels 1 and 2 brighten, level 3 leaves the image as it is, levels 4 and 5 darken.

    Source: KADIS-700k generator, ``immeanshift``.
    """

    name = "mean_shift"
    parameter = "offset d"
    values = (0.15, 0.08, 0.0, -0.08, -0.15)
    identity_levels = (3,)

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        return (images + self.values_at(levels, images)).clamp_(0, 1)
