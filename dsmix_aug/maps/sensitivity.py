"""The distortion-induced sensitivity map (DSM) of a distorted image whose reference is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug.maps.patch_grid import check_patch_size, grid_size, patch_areas
from dsmix_aug.maps.tv_tensors import SensitivityMap

#: A batch that has to be copied is worked through in about this many parts, so that the copies stay small.
_PARTS = 24


def sensitivity_map(distorted: Tensor, reference: Tensor, patch_size: int = 16) -> SensitivityMap:
    """Measure where, and how strongly, a distortion changed an image: the DSM.

    The mean of ``|distorted - reference|`` over the channels and pixels of each patch. A partial last row or column of
    patches averages the pixels that are there. No gradient flows through it.

    Args:
        distorted: (..., C, H, W), float in [0, 1] or uint8, on any device.
        reference: The pristine version, of the same shape; float like ``distorted``, or uint8 like it.
        patch_size: Side of a patch in px.

    Returns:
        (..., ceil(H / patch_size), ceil(W / patch_size)) with values in [0, 1], float32, or float64 where an input is.

    Raises:
        TypeError: If an argument is no tensor or a dtype is neither float nor uint8, or one is float and one uint8.
        ValueError: If shapes or devices differ, there are fewer than three dimensions or no pixels, or, on CPU
            tensors, a float value is NaN or outside [0, 1].

    Source: Shi, Gao, Peng, Qin, "DSMix", ECCV 2024 (the ground truth of their estimator).

    Example:
        >>> import torch
        >>> from dsmix_aug import sensitivity_map
        >>> reference = torch.zeros(2, 3, 32, 40)
        >>> distorted = reference.clone()
        >>> distorted[..., :16, :16] = 0.5
        >>> dsm = sensitivity_map(distorted, reference)
        >>> dsm.shape, dsm[0].tolist()
        (torch.Size([2, 2, 3]), [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    """
    check_patch_size(patch_size)
    check_pair(distorted, reference, "distorted", "reference")
    if (distorted.dtype == torch.uint8) != (reference.dtype == torch.uint8):
        raise TypeError(
            f"distorted and reference should be both float in [0, 1] or both uint8, got {distorted.dtype} and "
            f"{reference.dtype}"
        )
    errors = mean_patch_error(distorted.as_subclass(Tensor), reference.as_subclass(Tensor), patch_size)
    return SensitivityMap(errors, patch_size=patch_size, canvas_size=(distorted.shape[-2], distorted.shape[-1]))


def check_pair(distorted: object, reference: object, distorted_name: str, reference_name: str) -> None:
    """Raise unless the two are images of one shape on one device, float in [0, 1] (seen on the CPU alone) or uint8."""
    for image, name in ((distorted, distorted_name), (reference, reference_name)):
        if not isinstance(image, Tensor):
            raise TypeError(f"{name} should be a tensor, got {type(image).__name__}")
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise TypeError(f"{name} should be float in [0, 1] or uint8, got {image.dtype}")
        if image.ndim < 3 or 0 in image.shape[-3:]:
            raise ValueError(f"{name} should have shape (..., C, H, W) with pixels, got {tuple(image.shape)}")
    assert isinstance(distorted, Tensor)
    assert isinstance(reference, Tensor)
    if distorted.shape != reference.shape:
        raise ValueError(
            f"{reference_name} should have the shape of {distorted_name}, {tuple(distorted.shape)}, got "
            f"{tuple(reference.shape)}"
        )
    if distorted.device != reference.device:
        raise ValueError(
            f"{reference_name} should be on the device of {distorted_name}, {distorted.device}, got {reference.device}"
        )
    for image, name in ((distorted, distorted_name), (reference, reference_name)):
        if image.device.type == "cpu" and image.is_floating_point() and image.numel():
            low, high = _value_range(image.detach().as_subclass(Tensor))
            if not (low >= 0 and high <= 1):  # a NaN fails both comparisons
                raise ValueError(
                    f"{name}: float values should lie in [0, 1], got [{low.item():.4g}, {high.item():.4g}]; maps are "
                    "taken before v2.Normalize"
                )


def _value_range(image: Tensor) -> tuple[Tensor, Tensor]:
    # aminmax is the faster one, but it copies what is not contiguous.
    return torch.aminmax(image) if image.is_contiguous() else (image.amin(), image.amax())


@torch.no_grad()
def mean_patch_error(distorted: Tensor, reference: Tensor, patch_size: int) -> Tensor:
    """Compute :func:`sensitivity_map` on plain tensors without checks; a float and a uint8 image may meet here.

    Compiles with ``fullgraph=True`` into a single pass.
    """
    channels, height, width = distorted.shape[-3:]
    grid = grid_size((height, width), patch_size)
    double = torch.float64 in (distorted.dtype, reference.dtype)
    dtype = torch.float64 if double else torch.float32
    x = distorted.reshape(-1, channels, height, width)
    r = reference.reshape(-1, channels, height, width)
    if torch.compiler.is_compiling() or _fits_cdist(x, r, patch_size, dtype):
        sums = _sum_rows(_error_segments(x, r, patch_size, dtype), patch_size)
    elif _fits_bytes(x, r, patch_size):
        sums = _sum_bytes(x, r, patch_size)
    else:
        sums = x.new_empty((len(x), *grid), dtype=dtype)
        for samples, rows in _split(len(x), height, patch_size, _PARTS * dtype.itemsize // x.itemsize):
            segments = _error_segments(x[samples, :, rows], r[samples, :, rows], patch_size, dtype)
            sums[samples, rows.start // patch_size : -(-rows.stop // patch_size)] = _sum_rows(segments, patch_size)
    areas: Tensor | int = patch_size**2
    if height % patch_size or width % patch_size:
        areas = patch_areas((height, width), patch_size, sums.device)
    sums.div_(areas * (channels * 255 if _both_uint8(x, r) else channels))
    return sums.reshape(*distorted.shape[:-3], *grid)


def _both_uint8(x: Tensor, r: Tensor) -> bool:
    return x.dtype == r.dtype == torch.uint8


def _split(samples: int, height: int, patch_size: int, parts: int) -> Iterator[tuple[slice, slice]]:
    """Split a batch along samples, and where there are fewer of them than parts, along patch rows too."""
    step = max(samples // parts, 1)
    bands = -(-parts // max(samples, 1))
    band = max(height // (bands * patch_size), 1) * patch_size
    for sample in range(0, samples, step):
        for top in range(0, height, band):
            yield slice(sample, min(sample + step, samples)), slice(top, min(top + band, height))


def _fits_cdist(x: Tensor, r: Tensor, patch_size: int, dtype: torch.dtype) -> bool:
    """Return whether ``cdist`` takes the whole batch without a copy, and its result is small, 1 / patch_size of it."""
    is_plain = all(image.dtype == dtype and image.is_contiguous() for image in (x, r))
    return is_plain and x.device.type == "cpu" and patch_size >= 8 and x.shape[-1] % patch_size == 0


def _error_segments(x: Tensor, r: Tensor, patch_size: int, dtype: torch.dtype) -> Tensor:
    """Return the error summed along ``patch_size`` px of each row, (N, C, H, w)."""
    if not _both_uint8(x, r):
        x, r = (image.to(dtype) / 255 if image.dtype == torch.uint8 else image for image in (x, r))
    x, r = (_pad_columns(image.to(dtype), patch_size).contiguous() for image in (x, r))
    samples, channels, height, width = x.shape
    segments = (samples, channels, height, width // patch_size)
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        # The one eager CPU kernel that subtracts, takes magnitudes and sums without writing any of it to memory.
        return torch.cdist(x.view(-1, 1, patch_size), r.view(-1, 1, patch_size), p=1.0).view(segments)
    return (x - r).abs_().view(*segments, patch_size).sum(-1)


def _pad_columns(image: Tensor, multiple: int) -> Tensor:
    missing = -image.shape[-1] % multiple
    return F.pad(image, (0, missing)) if missing else image


def _sum_rows(segments: Tensor, patch_size: int) -> Tensor:
    missing = -segments.shape[-2] % patch_size
    padded = F.pad(segments, (0, 0, 0, missing)) if missing else segments
    samples, channels, height, columns = padded.shape
    lines = padded.view(samples, channels, height // patch_size, patch_size, columns)
    if lines.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.from_numpy(lines.numpy().sum(1).sum(2))  # too little work to wake PyTorch's threads for
    return lines.sum((1, 3))


def _fits_bytes(x: Tensor, r: Tensor, patch_size: int) -> bool:
    """Return whether :func:`_sum_bytes` can be used: a pair of columns of a patch has to fit into 16 bits."""
    is_uint8 = x.device.type == "cpu" and _both_uint8(x, r)
    return is_uint8 and patch_size % 2 == 0 and 2 * 255 * patch_size * x.shape[1] < 2**16


def _sum_bytes(x: Tensor, r: Tensor, patch_size: int) -> Tensor:
    """Return the summed error of each patch of uint8 images on the CPU, (N, h, w) float32, two pixels at a time.

    In NumPy and in the same two buffers all along, because PyTorch sums uint8 by converting each value to int64 first
    and new memory costs more than the sums.
    """
    samples, channels, height, width = x.shape
    rows, columns = grid_size((height, width), patch_size)
    sums = torch.empty((samples, rows, columns), dtype=torch.float32)
    if samples == 0:
        return sums
    split = list(_split(samples, height, patch_size, _PARTS))
    first = split[0]
    part = (first[0].stop, channels, -(-first[1].stop // patch_size) * patch_size, columns * patch_size)
    errors, other = np.zeros(part, np.uint8), np.zeros(part, np.uint8)  # beyond the image's border they stay 0
    for chosen, band in split:
        a, b = x[chosen, :, band].numpy(), r[chosen, :, band].numpy()
        here = np.s_[: len(a), :, : a.shape[2], :width]
        np.minimum(a, b, out=other[here])
        np.subtract(np.maximum(a, b, out=errors[here]), other[here], out=errors[here])
        if a.shape[2] < part[2]:
            errors[:, :, a.shape[2] :] = 0
        pairs, second = errors.view(np.uint16), other.view(np.uint16)
        np.right_shift(pairs, 8, out=second)
        np.add(np.bitwise_and(pairs, 255, out=pairs), second, out=pairs)
        gray = pairs.sum(1, dtype=np.uint16).reshape(part[0], part[2] // patch_size, patch_size, -1)
        lines = gray.sum(2, dtype=np.uint16).reshape(part[0], -1, columns, patch_size // 2)
        patches = lines.sum(-1, dtype=np.int32)
        first_row = band.start // patch_size
        sums.numpy()[chosen, first_row : first_row + patches.shape[1]] = patches[: len(a), : rows - first_row]
    return sums
