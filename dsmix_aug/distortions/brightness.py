"""Distortions of brightness: brighten, darken, mean shift, exposure."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsmix_aug.distortions._color_spaces import delinearize_, lab_to_rgb, linearize, rgb_to_lab
from dsmix_aug.distortions._distortion import Distortion, Draws, per_sample, register


@register
class Brighten(Distortion):
    r"""Bend the tones upwards.

    .. math:: y = \frac{2 g(x) + z}{3}, \quad g(t) = \text{clamp}(t + 2 A t (1 - t), 0, 1)

    z is x with its CIE lightness L bent to 100 g(L / 100) and clamped to [0, 1]; images of one channel become g(x).
    From A > 0.5 on, all tones above 1 / (2 A) are white in g.

    Source: KADIS-700k generator, ``imbrighten``; its spline through (0, 0), (0.5, 0.5 + A / 2) and (1, 1) is g.
    Deviation: MATLAB's matrix from RGB to XYZ is not published; scikit-image's moves results by less than 2e-5
    (``tests/distortions/test_brightness.py``).

    Example:
        >>> import torch
        >>> Brighten()(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3), level=3).flatten()
        tensor([0.0000, 0.7000, 1.0000])
    """

    name = "brighten"
    family = "brightness"
    parameter = "amount A"
    values = (0.1, 0.2, 0.4, 0.7, 1.1)
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        amounts = per_sample(values, images)
        if images.shape[1] == 1:
            return bend_tones(images, amounts)
        lab = rgb_to_lab(images)
        lightness = lab[:, :1]
        lightness.copy_(bend_tones(lightness / 100, amounts)).mul_(100)
        return bend_tones(images, amounts).mul_(2).add_(lab_to_rgb(lab).clamp_(0, 1)).div_(3)


@register
class Darken(Distortion):
    r"""Bend the tones downwards.

    .. math:: y = \text{clamp}(x - 2 A x (1 - x), 0, 1)

    At A = 0.8 all tones up to 0.375 are black.

    Source: KADIS-700k generator, ``imdarken``; its spline through (0, 0), (0.5, 0.5 - A / 2) and (1, 1) is this curve.
    Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> Darken()(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3), level=3).flatten()
        tensor([0.0000, 0.4000, 1.0000])
    """

    name = "darken"
    family = "brightness"
    parameter = "amount A"
    values = (0.05, 0.1, 0.2, 0.4, 0.8)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return bend_tones(images, -per_sample(values, images))


@register
class MeanShift(Distortion):
    r"""Add a constant to every channel.

    .. math:: y = \text{clamp}(x + d, 0, 1)

    Two-sided, as published: levels 1 and 2 brighten, level 3 leaves the image as it is, levels 4 and 5 darken.

    Source: KADIS-700k generator, ``immeanshift``. Deviation: none.

    Example:
        >>> import torch
        >>> MeanShift()(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3), level=1).flatten()
        tensor([0.1500, 0.6500, 1.0000])
    """

    name = "mean_shift"
    family = "brightness"
    parameter = "offset d"
    values = (0.15, 0.08, 0.0, -0.08, -0.15)
    identity_levels = (3,)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return (images + per_sample(values, images)).clamp_(0, 1)


@register
class Exposure(Distortion):
    r"""Expose by some stops too long or too short, drawn per sample.

    .. math:: y = \min(2^{\pm s} x, 1) \text{ in linear light}

    sRGB values are turned into linear light and back. Too long an exposure clips highlights for good; too short a one
    loses shadows where the result is rounded to 8 bits.

    Source: IEC 61966-2-1 (the curve between sRGB and linear light); the stops are our choice, from one that viewers
    notice to one where photos lose most of their highlights or shadows. Deviation: none (1e-5 in float32).

    Example:
        >>> import torch
        >>> Exposure()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "exposure"
    family = "brightness"
    parameter = "stops s, to either side"
    values = (0.5, 1.0, 1.5, 2.0, 3.0)
    one_at_a_time = True

    def draw(self, generator: torch.Generator | None) -> Draws:
        return {"over": bool(torch.randint(2, (), generator=generator, dtype=torch.int64, device="cpu"))}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        gains = [2.0**stops if draw["over"] else 2.0**-stops for stops, draw in zip(values, draws, strict=True)]
        return delinearize_(linearize(images).mul_(per_sample(gains, images)).clamp_(max=1))


def bend_tones(tones: Tensor, amounts: Tensor) -> Tensor:
    """Return clamp(t + 2 A t (1 - t), 0, 1) for tones t and an amount A per sample."""
    return tones.mul(-2 * amounts).add_(1 + 2 * amounts).mul_(tones).clamp_(0, 1)
