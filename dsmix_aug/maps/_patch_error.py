"""The kernels of the sensitivity map: mean absolute error of each patch, the fastest for each kind of tensor.

The gains in the docstrings are over :func:`_plain_sums`, on one CPU thread, with 32x3x224x224 and 64x3x128x128.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug.maps.patch_grid import grid_size, patch_areas

#: Batches are processed in about this many chunks, so that temporaries stay small.
_CHUNKS = 24


@torch.no_grad()
def mean_patch_error(distorted: Tensor, reference: Tensor, patch_size: int) -> Tensor:
    """Compute :func:`~dsmix_aug.sensitivity_map` on plain tensors without checks.

    A float image in [0, 1] and a uint8 image may meet here. Compiles with ``fullgraph=True`` into a single pass.

    Args:
        distorted: (..., C, H, W), float in [0, 1] or uint8.
        reference: Of the same shape and device.
        patch_size: Side of a patch in px.

    Returns:
        (..., ceil(H / patch_size), ceil(W / patch_size)), float32, or float64 where an input is.
    """
    channels, height, width = distorted.shape[-3:]
    grid = grid_size((height, width), patch_size)
    patch_size = min(patch_size, max(height, width))  # one patch that covers the image is enough, however large it is
    x = distorted.reshape(-1, channels, height, width)
    r = reference.reshape(-1, channels, height, width)
    sums = _patch_sums(x, r, patch_size)
    areas: Tensor | int = patch_size**2
    if height % patch_size or width % patch_size:
        areas = patch_areas((height, width), patch_size, sums.device)
    sums.div_(areas * (channels * 255 if _both_uint8(x, r) else channels))
    return sums.reshape(*distorted.shape[:-3], *grid)


def _patch_sums(x: Tensor, r: Tensor, patch_size: int) -> Tensor:
    """Return the absolute error summed over the channels and pixels of each patch, (N, h, w)."""
    dtype = torch.float64 if torch.float64 in (x.dtype, r.dtype) else torch.float32
    if torch.compiler.is_compiling():
        return _plain_sums(x, r, patch_size, dtype)
    if _fits_cdist(x, r, patch_size, dtype):
        return _cdist_sums(x, r, patch_size)
    if _fits_bytes(x, r, patch_size):
        return _byte_sums(x, r, patch_size)
    height = x.shape[-2]
    sums = x.new_empty((len(x), *grid_size((height, x.shape[-1]), patch_size)), dtype=dtype)
    for samples, rows in _chunks(len(x), height, patch_size, _CHUNKS * dtype.itemsize // x.itemsize):
        patch_rows = slice(rows.start // patch_size, -(-rows.stop // patch_size))
        sums[samples, patch_rows] = _plain_sums(x[samples, :, rows], r[samples, :, rows], patch_size, dtype)
    return sums


def _both_uint8(x: Tensor, r: Tensor) -> bool:
    return x.dtype == r.dtype == torch.uint8


def _chunks(samples: int, height: int, patch_size: int, count: int) -> Iterator[tuple[slice, slice]]:
    """Split a batch along samples, and where there are fewer of them than chunks, along patch rows too."""
    step = max(samples // count, 1)
    bands = -(-count // max(samples, 1))
    band = max(height // (bands * patch_size), 1) * patch_size
    for sample in range(0, samples, step):
        for top in range(0, height, band):
            yield slice(sample, min(sample + step, samples)), slice(top, min(top + band, height))


def _plain_sums(x: Tensor, r: Tensor, patch_size: int, dtype: torch.dtype) -> Tensor:
    """Sum on any device, in any dtype and layout: channels, then the rows and then the columns of each patch."""
    if not _both_uint8(x, r):
        x, r = (image.to(dtype) / 255 if image.dtype == torch.uint8 else image for image in (x, r))
    errors = (x.to(dtype) - r.to(dtype)).abs_().sum(1)
    samples, height, width = errors.shape
    rows, columns = grid_size((height, width), patch_size)
    padded = F.pad(errors, (0, columns * patch_size - width, 0, rows * patch_size - height))
    lines = padded.view(samples, rows, patch_size, columns * patch_size).sum(2)
    return lines.view(samples, rows, columns, patch_size).sum(3)


def _fits_cdist(x: Tensor, r: Tensor, patch_size: int, dtype: torch.dtype) -> bool:
    """Return whether ``cdist`` takes the whole batch without a copy, and its result is small, 1 / patch_size of it."""
    is_plain = all(image.dtype == dtype and image.is_contiguous() for image in (x, r))
    return is_plain and x.device.type == "cpu" and patch_size >= 8 and x.shape[-1] % patch_size == 0


def _cdist_sums(x: Tensor, r: Tensor, patch_size: int) -> Tensor:
    """Sum contiguous float tensors on the CPU: 1.6 to 4 times as fast.

    ``cdist`` is the one eager CPU kernel that subtracts, takes magnitudes and sums without writing any of it to memory.
    """
    samples, channels, height, width = x.shape
    pairs = torch.cdist(x.view(-1, 1, patch_size), r.view(-1, 1, patch_size), p=1.0)
    segments = pairs.view(samples, channels, height, width // patch_size)
    padded = F.pad(segments, (0, 0, 0, -height % patch_size))
    lines = padded.view(samples, channels, -(-height // patch_size), patch_size, width // patch_size).numpy()
    return torch.from_numpy(lines.sum(1).sum(2))  # NumPy: too little work to pay for PyTorch's thread pool


def _fits_bytes(x: Tensor, r: Tensor, patch_size: int) -> bool:
    """Return whether :func:`_byte_sums` can be used: a pair of columns of a patch has to fit into 16 bits."""
    is_uint8 = x.device.type == "cpu" and _both_uint8(x, r)
    return is_uint8 and patch_size % 2 == 0 and 2 * 255 * patch_size * x.shape[1] < 2**16


def _byte_sums(x: Tensor, r: Tensor, patch_size: int) -> Tensor:
    """Sum uint8 tensors on the CPU, two pixels at a time: 2.6 to 4 times as fast.

    In NumPy and in the same two buffers all along, because PyTorch sums uint8 by converting each value to int64 first
    and new memory costs more than the sums.
    """
    samples, channels, height, width = x.shape
    rows, columns = grid_size((height, width), patch_size)
    sums = x.new_empty((samples, rows, columns), dtype=torch.float32)
    chunks = list(_chunks(samples, height, patch_size, _CHUNKS))
    if not chunks:
        return sums
    first_samples, first_band = chunks[0]
    shape = (first_samples.stop, channels, -(-first_band.stop // patch_size) * patch_size, columns * patch_size)
    errors, scratch = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)  # beyond the image's border they stay 0
    for chosen, band in chunks:
        a, b = x[chosen, :, band].numpy(), r[chosen, :, band].numpy()
        here = np.s_[: len(a), :, : a.shape[2], :width]
        np.minimum(a, b, out=scratch[here])
        np.subtract(np.maximum(a, b, out=errors[here]), scratch[here], out=errors[here])
        errors[:, :, a.shape[2] :] = 0
        patches = _sum_byte_patches(errors, scratch, patch_size)
        first_row = band.start // patch_size
        sums.numpy()[chosen, first_row : first_row + patches.shape[1]] = patches[: len(a), : rows - first_row]
    return sums


def _sum_byte_patches(errors: np.ndarray, scratch: np.ndarray, patch_size: int) -> np.ndarray:
    """Sum (N, C, H, W) bytes over channels and whole patches to (N, h, w); overwrites both arrays."""
    pairs, second = errors.view(np.uint16), scratch.view(np.uint16)
    np.right_shift(pairs, 8, out=second)
    np.add(np.bitwise_and(pairs, 255, out=pairs), second, out=pairs)
    samples, _, height, half_width = pairs.shape
    gray = pairs.sum(1, dtype=np.uint16).reshape(samples, height // patch_size, patch_size, half_width)
    lines = gray.sum(2, dtype=np.uint16).reshape(samples, height // patch_size, -1, patch_size // 2)
    return lines.sum(3, dtype=np.int32)
