"""Cubic convolution at displaced positions, for jitter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Replicated columns on either side, so that no four taps in a row leave the padded row.
_PAD = 3


def displace(images: Tensor, shifts: Tensor) -> Tensor:
    """Sample each pixel (r, c) at (r - shift_y, c - shift_x) by cubic convolution with a = -1/2.

    Positions outside the image see its border pixels repeated. Of the 4 x 4 taps, the four rows are combined first:
    there each tap fetches four neighbouring pixels with all their channels at once. The columns follow.

    Args:
        images: (N, H, W, C), float32 or float64.
        shifts: (N, 2, H, W) in px, y first.

    Returns:
        A new tensor like ``images``; it may overshoot their range.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE TASSP 1981.
    """
    size, height, width, channels = images.shape
    device = images.device
    y = torch.arange(height, device=device).view(-1, 1) - shifts[:, 0]
    x = torch.arange(width, device=device) - shifts[:, 1]
    top, left = y.floor(), x.floor()
    row_weights, column_weights = cubic_weights(y.sub_(top)), cubic_weights(x.sub_(left))

    # Row r of `windows` at column c holds the pixels c - _PAD ... c - _PAD + 3 of the image's row r.
    windows = _row_windows(images)
    num_windows = windows.shape[2]
    first_row = torch.arange(size, device=device).view(-1, 1, 1) * height
    window = left.long().clamp_(-_PAD + 1, width).add_(_PAD - 1)
    top = top.long()
    taps = window.new_empty((*window.shape, 4))
    for tap in range(4):
        row = (top + (tap - 1)).clamp_(0, height - 1).add_(first_row)
        torch.add(window, row, alpha=num_windows, out=taps[..., tap])
    columns = _weighted_sums(windows.view(-1, 4 * channels), taps, row_weights).view(-1, channels)
    neighbours = torch.arange(len(columns), device=device)
    return _weighted_sums(columns, neighbours, column_weights).view(images.shape)


def cubic_weights(fraction: Tensor) -> Tensor:
    """Return the weights of the pixels at -1, 0, 1, 2 for a position at ``fraction`` in [0, 1]; shape (..., 4)."""
    t = fraction
    weights = t.new_empty((*t.shape, 4))
    weights[..., 0] = ((2 - t) * t - 1).mul_(t).mul_(0.5)
    weights[..., 1] = (1.5 * t - 2.5).mul_(t).mul_(t).add_(1)
    weights[..., 2] = ((2 - 1.5 * t).mul_(t).add_(0.5)).mul_(t)
    weights[..., 3] = (t - 1).mul_(t).mul_(t).mul_(0.5)
    return weights


def _row_windows(images: Tensor) -> Tensor:
    """Return every run of four pixels of the padded rows: (N, H, W + 2 * _PAD - 3, 4 * C)."""
    left, right = images[:, :, :1].expand(-1, -1, _PAD, -1), images[:, :, -1:].expand(-1, -1, _PAD, -1)
    padded = torch.cat((left, images, right), dim=2).contiguous()
    size, height, width, channels = padded.shape
    runs = padded.as_strided(
        (size, height, width - 3, 4 * channels), (height * width * channels, width * channels, channels, 1)
    )
    return runs.contiguous()


def _weighted_sums(table: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums of four rows of ``table`` each; an embedding bag is a gather fused with that sum."""
    return F.embedding_bag(taps.view(-1, 4), table, per_sample_weights=weights.view(-1, 4), mode="sum")
