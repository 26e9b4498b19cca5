"""Distortions of sharpness and contrast: high sharpen, contrast change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsmix_aug.distortions._color_spaces import lab_to_rgb, rgb_to_lab
from dsmix_aug.distortions._distortion import Distortion, Draws, per_sample, register
from dsmix_aug.distortions._filters import correlate_separable, gaussian_kernel


@register
class HighSharpen(Distortion):
    r"""Sharpen too much: unsharp masking of the lightness L* with a Gaussian of sigma 3 px in a 13x13 window.

    .. math:: L' = L + A \, (L - L * g_3)

    a* and b* are kept, and the result is clamped. A one-channel image is sharpened as it is.

    Source: KADIS-700k generator, ``imsharpenHi``. Deviation: MATLAB's matrix from RGB to XYZ is not published. Another
    one, scikit-image's, moves photos by less than 3e-4 anywhere and 6e-6 on average
    (``tests/distortions/test_sharpness.py``).

    Example:
        >>> import torch
        >>> HighSharpen()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "high_sharpen"
    family = "sharpness"
    parameter = "amount A"
    values = (1, 2, 3, 6, 12)
    one_at_a_time = True

    SIGMA = 3.0

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        amounts = per_sample(values, images)
        if images.shape[1] == 1:
            return self._sharpen(images, amounts).clamp_(0, 1)
        lab = rgb_to_lab(images)
        lab[:, :1] = self._sharpen(lab[:, :1], amounts)
        return lab_to_rgb(lab).clamp_(0, 1)

    def _sharpen(self, planes: Tensor, amounts: Tensor) -> Tensor:
        blurred = correlate_separable(planes, [gaussian_kernel(self.SIGMA)] * len(planes))
        return torch.addcmul(planes, planes - blurred, amounts)


@register
class ContrastChange(Distortion):
    r"""Change the contrast of every channel by a cubic curve.

    .. math::

        y = \text{clamp}\left(\frac{1}{2} + p t + q t^3, 0, 1\right), \quad t = x - \frac{1}{2}, \quad
        q = -\frac{0.05 + 0.25 A}{0.042}, \quad p = 1 - \frac{q}{4}

    Two-sided, as published: levels 1 to 3 raise the contrast, less
    and less, levels 4 and 5 lower it. (A = -0.2 would leave the image as it is; A = 0 does not.)

    Source: KADIS-700k generator, ``imcontrastc``, whose spline through five points is this cubic. Deviation: none
    (1e-12 in float64).

    Example:
        >>> import torch
        >>> ContrastChange()(torch.tensor([0.0, 0.3, 0.5, 1.0]).view(1, 1, 4), level=1).flatten()
        tensor([0.0000, 0.1750, 0.5000, 1.0000])
    """

    name = "contrast_change"
    family = "sharpness"
    parameter = "amount A"
    values = (0.3, 0.15, 0, -0.4, -0.6)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        q = (per_sample(values, images) + 0.2).mul_(-0.25 / 0.042)
        p = 1 - q / 4
        t = images - 0.5
        return t.square().mul_(q).add_(p).mul_(t).add_(0.5).clamp_(0, 1)
