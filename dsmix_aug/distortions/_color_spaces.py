"""Colour spaces of the distortions: sRGB to and from CIE L*a*b* and YCbCr, exact and without gamut clipping."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

# sRGB (IEC 61966-2-1) companding: a power law above the knee, a line below it.
SRGB_KNEE = 0.04045
LINEAR_KNEE = 0.0031308
# Linear RGB to XYZ relative to white, from the chromaticities of the sRGB primaries (columns) and MATLAB's D65 white:
# equal R, G and B come out as exactly equal X, Y and Z.
D65_WHITE = np.array([0.9504, 1.0, 1.0888])
PRIMARIES = np.array([[0.64, 0.30, 0.15], [0.33, 0.60, 0.06], [0.03, 0.10, 0.79]])
RGB_TO_XYZ = PRIMARIES * np.linalg.solve(PRIMARIES, D65_WHITE) / D65_WHITE[:, None]
XYZ_MIX = RGB_TO_XYZ.tolist()
RGB_MIX = np.linalg.inv(RGB_TO_XYZ).tolist()
# CIE f: a cube root above the knee, its tangent below it.
CIE_KNEE = (6 / 29) ** 3
CIE_SLOPE = (29 / 6) ** 2 / 3
# BT.601 studio range of 8 bit values, applied to RGB in [0, 1].
RGB_TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
YCBCR_MIX = RGB_TO_YCBCR.tolist()
YCBCR_OFFSET = (16 / 255, 128 / 255, 128 / 255)
YCBCR_TO_RGB_MIX = np.linalg.inv(RGB_TO_YCBCR).tolist()
YCBCR_TO_RGB_OFFSET = (-np.linalg.inv(RGB_TO_YCBCR) @ YCBCR_OFFSET).tolist()


def rgb_to_lab(images: Tensor) -> Tensor:
    """Convert sRGB images to CIE L*a*b* (D65 white of MATLAB: 0.9504, 1, 1.0888).

    Args:
        images: (N, 3, H, W) sRGB in [0, 1], float32 or float64, contiguous.

    Returns:
        (N, 3, H, W): L in [0, 100], a and b about -128 to 128.

    Source: CIE 15 and IEC 61966-2-1; agrees with scikit-image to 0.007 (its white differs).

    Example:
        >>> import torch
        >>> rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs()
        tensor([100.,   0.,   0.])
    """
    x, y, z = _cie_f(_mix_channels(linearize(images), XYZ_MIX)).unbind(1)
    lab = torch.empty_like(images)
    lightness, a, b = lab.unbind(1)
    torch.mul(y, 116, out=lightness).sub_(16)
    torch.sub(x, y, out=a).mul_(500)
    torch.sub(y, z, out=b).mul_(200)
    return lab


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIE L*a*b* to sRGB, the inverse of :func:`rgb_to_lab`.

    Neither the result nor anything on the way is clamped: colours outside the gamut come out below 0 or above 1, as
    in MATLAB (scikit-image and kornia clamp f(Z) at 0 and differ by up to 0.5 for strong blues and yellows).

    Args:
        lab: (N, 3, H, W), float32 or float64, contiguous.

    Returns:
        (N, 3, H, W) sRGB, in [0, 1] where the colour is in gamut.

    Source: CIE 15 and IEC 61966-2-1.

    Example:
        >>> import torch
        >>> images = torch.rand(2, 3, 8, 8)
        >>> torch.allclose(lab_to_rgb(rgb_to_lab(images)), images, atol=1e-5)
        True
    """
    lightness, a, b = lab.unbind(1)
    f = torch.empty_like(lab)
    x, y, z = f.unbind(1)
    torch.add(lightness, 16, out=y).div_(116)
    torch.add(y, a, alpha=1 / 500, out=x)
    torch.sub(y, b, alpha=1 / 200, out=z)
    return delinearize_(_mix_channels(_cie_f_inverse(f), RGB_MIX))


def rgb_to_ycbcr(images: Tensor) -> Tensor:
    """Convert RGB to YCbCr in BT.601 studio range: Y in [16, 235] / 255, Cb and Cr in [16, 240] / 255.

    Args:
        images: (N, 3, H, W) in [0, 1], float32 or float64, contiguous.

    Returns:
        (N, 3, H, W).

    Source: ITU-R BT.601.

    Example:
        >>> import torch
        >>> rgb_to_ycbcr(torch.ones(1, 3, 1, 1)).mul(255).round().flatten()
        tensor([235., 128., 128.])
    """
    return _mix_batch(images, YCBCR_MIX, YCBCR_OFFSET)


def ycbcr_to_rgb(images: Tensor) -> Tensor:
    """Convert YCbCr in BT.601 studio range to RGB, the inverse of :func:`rgb_to_ycbcr`; nothing is clamped.

    Args:
        images: (N, 3, H, W), float32 or float64, contiguous.

    Returns:
        (N, 3, H, W) RGB, in [0, 1] where the colour is in gamut.

    Source: ITU-R BT.601.

    Example:
        >>> import torch
        >>> images = torch.rand(2, 3, 8, 8)
        >>> torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(images)), images, atol=1e-5)
        True
    """
    return _mix_batch(images, YCBCR_TO_RGB_MIX, YCBCR_TO_RGB_OFFSET)


def _mix_batch(images: Tensor, weights: Sequence[Sequence[float]], offsets: Sequence[float]) -> Tensor:
    mixed = _mix_channels(images, weights)
    for plane, offset in zip(mixed.unbind(1), offsets, strict=True):
        plane.add_(offset)
    return mixed


def _mix_channels(images: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """Mix the three channels by a 3x3 matrix.

    No matmul: that would follow autocast and the reduced float32 precision that training scripts switch on.
    """
    mixed = torch.empty_like(images)
    first, second, third = images.unbind(1)
    for plane, (w1, w2, w3) in zip(mixed.unbind(1), weights, strict=True):
        torch.mul(first, w1, out=plane).add_(second, alpha=w2).add_(third, alpha=w3)
    return mixed


# The four curves below have a power law on one side of a knee and a line on the other. Both sides are added up from
# values clamped at the knee, which is several times faster than computing both and selecting with torch.where.


def linearize(rgb: Tensor) -> Tensor:
    """Return sRGB values as linear light (IEC 61966-2-1), a new tensor."""
    above = rgb.clamp(min=SRGB_KNEE)
    below = rgb - above
    return _power_(above.add_(0.055).mul_(1 / 1.055), 2.4).add_(below, alpha=1 / 12.92)


def delinearize_(linear: Tensor) -> Tensor:
    """Return linear light as sRGB values, the inverse of :func:`linearize`; ``linear`` is used up."""
    above = linear.clamp(min=LINEAR_KNEE)
    below = linear.sub_(above)
    return _power_(above, 1 / 2.4).mul_(1.055).sub_(0.055).add_(below, alpha=12.92)


def _cie_f(xyz: Tensor) -> Tensor:
    above = xyz.clamp(min=CIE_KNEE)
    below = xyz.sub_(above)
    return _power_(above, 1 / 3).add_(below, alpha=CIE_SLOPE)


def _cie_f_inverse(f: Tensor) -> Tensor:
    above = f.clamp(min=6 / 29)
    below = f.sub_(above)
    return above.pow_(3).add_(below, alpha=1 / CIE_SLOPE)


def _power_(values: Tensor, exponent: float) -> Tensor:
    """Raise positive values to a power, in place; on the CPU by OpenCV's log and exp, 6 times as fast as pow."""
    if values.device.type != "cpu":
        return values.pow_(exponent)
    rows = values.numpy().reshape(-1, values.shape[-1])
    cv2.log(rows, rows)
    values.mul_(exponent)
    cv2.exp(rows, rows)
    return values
