"""Filtering of every sample with a kernel of its own, the border's pixels repeated outwards (MATLAB's ``imfilter``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dsmix_aug._tensors import to_device
from dsmix_aug.distortions._distortion import by_group

Kernel = NDArray[np.float64]


def correlate(images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
    """Correlate each sample with its 2-D kernel (odd sizes), border replicated.

    On the CPU OpenCV does the work, one plane after the other in the calling thread; on other devices a depthwise
    convolution per kernel size.

    Args:
        images: (N, C, H, W), float32 or float64, rows contiguous.
        kernels: N kernels.

    Returns:
        (N, C, H, W), a new tensor.

    Example:
        >>> import numpy as np, torch
        >>> correlate(torch.ones(1, 1, 2, 4), [np.full((3, 3), 1 / 9)]).round(decimals=4).unique()
        tensor([1.])
    """
    if images.device.type == "cpu":
        return _correlate_planes(images, kernels, _filter_plane)
    return _correlate_by_size(images, kernels, _convolve)


def correlate_separable(images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
    """Correlate each sample's columns and rows with its 1-D kernel (odd length), border replicated.

    Args:
        images: (N, C, H, W), float32 or float64, rows contiguous.
        kernels: N kernels.

    Returns:
        (N, C, H, W), a new tensor.

    Example:
        >>> import torch
        >>> correlate_separable(torch.ones(1, 1, 2, 4), [gaussian_kernel(1.0)]).round(decimals=4).unique()
        tensor([1.])
    """
    if images.device.type == "cpu":
        return _correlate_planes(images, kernels, _filter_plane_separable)
    return _correlate_by_size(images, kernels, _convolve_separable)


@cache
def gaussian_kernel(sigma: float) -> Kernel:
    """Return the Gaussian of 2 ceil(2 sigma) + 1 taps with sum 1, as MATLAB's ``imgaussfilt`` cuts it.

    Example:
        >>> gaussian_kernel(0.5).round(4)
        array([0.1065, 0.787 , 0.1065])
    """
    radius = math.ceil(2 * sigma)
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return normalized(taps)


def normalized(kernel: Kernel) -> Kernel:
    """Return ``kernel`` scaled to sum 1, read-only because the callers of a cached function share it."""
    kernel = kernel / kernel.sum()
    kernel.setflags(write=False)
    return kernel


# On the CPU: OpenCV. Its filters of float images run in the calling thread, whatever cv2.getNumThreads() says.


def _correlate_planes(images: Tensor, kernels: Sequence[Kernel], filter_plane: Callable[..., None]) -> Tensor:
    filtered = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    for sample, out, kernel in zip(images.numpy(), filtered.numpy(), kernels, strict=True):
        for plane, plane_out in zip(sample, out, strict=True):
            filter_plane(plane, kernel, plane_out)
    return filtered


def _filter_plane(plane: NDArray[Any], kernel: Kernel, out: NDArray[Any]) -> None:
    cv2.filter2D(plane, -1, kernel, dst=out, borderType=cv2.BORDER_REPLICATE)


def _filter_plane_separable(plane: NDArray[Any], kernel: Kernel, out: NDArray[Any]) -> None:
    cv2.sepFilter2D(plane, -1, kernel, kernel, dst=out, borderType=cv2.BORDER_REPLICATE)


# On other devices: depthwise convolutions, samples with kernels of one size together.


def _correlate_by_size(
    images: Tensor, kernels: Sequence[Kernel], convolve: Callable[[Tensor, Sequence[Kernel]], Tensor]
) -> Tensor:
    sizes = [len(kernel) for kernel in kernels]
    return by_group(images, sizes, lambda group, members: convolve(group, [kernels[i] for i in members]))


def _convolve(images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
    return _convolve_planes(images, _weights(kernels, images))


def _convolve_separable(images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
    weights = _weights(kernels, images)
    return _convolve_planes(_convolve_planes(images, weights[:, None, :]), weights[:, :, None])


def _weights(kernels: Sequence[Kernel], like: Tensor) -> Tensor:
    return to_device(np.stack(kernels), like.device, like.dtype)


def _convolve_planes(images: Tensor, weights: Tensor) -> Tensor:
    """Correlate (N, C, H, W) images with (N, kh, kw) weights."""
    channels = images.shape[1]
    pad_y, pad_x = weights.shape[1] // 2, weights.shape[2] // 2
    planes = F.pad(images, (pad_x, pad_x, pad_y, pad_y), mode="replicate").flatten(0, 1)[None]
    weights = weights.repeat_interleave(channels, dim=0)[:, None]
    lone = len(weights) == 1
    if lone:  # two planes make it depthwise: a single one would go to cuDNN, which rounds to TF32 by default
        planes, weights = planes.expand(-1, 2, -1, -1), weights.expand(2, -1, -1, -1)
    filtered = F.conv2d(planes, weights, groups=len(weights))[0]
    return filtered[: 1 if lone else None].unflatten(0, images.shape[:2])
