"""A denoiser without learned weights: local Wiener shrinkage of undecimated Haar wavelets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Side in px of the square over which a band's energy is averaged, from the finest scale to the coarsest.
WINDOWS = (8, 4, 4)
#: How many noise variances are taken off the energy; more than 1 because an average over few pixels is itself noisy.
SHRINKAGE = 1.5
#: How far away, in px, a pixel's result depends on its neighbours.
MARGIN = 2 ** len(WINDOWS) + 1


def denoise(images: Tensor, sigma: Tensor) -> Tensor:
    """Remove white Gaussian noise of known standard deviation from each channel.

    Three scales of the undecimated 2-D Haar transform split a channel into a smooth part and nine bands of detail.
    Each detail c becomes c · max(0, 1 − 1.5 s² / E), where s² is the noise variance of its band and E the mean of c²
    over the window around it, and the inverse transform averages the 64 shifts of the decimated one. Noise coarser
    than 8 px stays.

    Args:
        images: (N, C, H, W), float32 or float64, of any size; the border is mirrored.
        sigma: (N, 1, 1, 1), above 0, in the units of ``images``.

    Returns:
        (N, C, H, W), a new tensor.

    Source: Coifman & Donoho, "Translation-invariant de-noising", 1995 (the transform); Mihçak et al., "Low-complexity
    image denoising based on statistical modeling of wavelet coefficients", IEEE SPL 6(12), 1999 (the shrinkage).

    Example:
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 1, 64, 64)
        >>> bool(denoise(noisy, torch.full((1, 1, 1, 1), 0.1)).std() < 0.03)
        True
    """
    if images.device.type == "cpu" and len(sigma) == 1:  # plane by plane, which stays in the processor's cache
        return torch.cat([_denoise_planes(plane, sigma) for plane in images.split(1, 1)], 1)
    return _denoise_planes(images, sigma)


def _denoise_planes(images: Tensor, sigma: Tensor) -> Tensor:
    planes = _mirror_border(images / sigma)
    # All rows of all planes as one line: a shift is then a slice, and only the margins see the next row or plane.
    line = planes.reshape(-1)
    cleaned = _denoise_line(line, planes.shape[-1], scale=0)
    cleaned = F.pad(cleaned, (0, len(line) - len(cleaned))).view_as(planes)
    return cleaned[..., MARGIN:-MARGIN, MARGIN:-MARGIN] * sigma


def _mirror_border(images: Tensor) -> Tensor:
    for dim in (-2, -1):
        size = images.shape[dim]
        position = torch.arange(-MARGIN, size + MARGIN, device=images.device).remainder_(2 * size)
        images = images.index_select(dim, torch.minimum(position, 2 * size - 1 - position))
    return images


def _denoise_line(line: Tensor, row: int, scale: int) -> Tensor:
    """Shrink the details of unit noise at ``scale`` and all coarser ones; rows are ``row`` long."""
    if scale == len(WINDOWS):
        return line
    step = 2**scale
    low, high = _split(line, step)
    smooth, horizontal = _split(low, step * row)
    vertical, diagonal = _split(high, step * row)
    smooth = _denoise_line(smooth, row, scale + 1)
    horizontal, vertical, diagonal = (
        _shrink(band, row, scale)[: len(smooth)] for band in (horizontal, vertical, diagonal)
    )
    low = _merge(smooth, horizontal, step * row)
    high = _merge(vertical, diagonal, step * row)
    return _merge(low, high, step).mul_(
        1 / 16
    )  # the sums are not normalized: a split and a merge give 4 times the line


def _split(line: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Sums and differences of all pairs ``step`` apart."""
    return line[:-step] + line[step:], line[:-step] - line[step:]


def _merge(low: Tensor, high: Tensor, step: int) -> Tensor:
    """Undo :func:`_split` up to a factor of 4, each value from both pairs that it is in."""
    merged = low + high
    merged[step:].add_((low - high)[:-step])
    return merged


def _shrink(band: Tensor, row: int, scale: int) -> Tensor:
    window = WINDOWS[scale]
    energy = band.square()
    step = 1
    while step < window:  # a window's sum by doubling
        energy = energy[:-step] + energy[step:]
        energy = energy[: -step * row] + energy[step * row :]
        step *= 2
    noise = SHRINKAGE * 4 ** (scale + 1) * window**2  # a band's value is a sum of 4^(scale + 1) pixels of unit noise
    energy.clamp_min_(noise).reciprocal_()
    centre = (window // 2 - 1) * (row + 1)
    inner = band[centre : centre + len(energy)]
    inner.addcmul_(inner, energy, value=-noise)
    return band
