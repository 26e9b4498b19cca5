"""The ground floor: moving numbers between host, NumPy and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_device(values: Sequence[Any] | np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Turn host numbers into a tensor on ``device`` without making the host wait for it."""
    return torch.tensor(values, dtype=dtype, device="cpu").to(device, non_blocking=True)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """View a CPU tensor as a NumPy array; bfloat16, which NumPy does not have, is converted to float32."""
    plain = tensor.detach().as_subclass(Tensor)
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()


def value_range(tensor: Tensor) -> tuple[float, float]:
    """Return the minimum and maximum of a CPU tensor that is not empty, NaN if it holds one."""
    array = to_numpy(tensor)
    return float(np.minimum.reduce(array, None)), float(np.maximum.reduce(array, None))


def check_network_input(images: object) -> None:
    """Check that images are (B, 3, H, W) floats, and on the CPU that they lie in [0, 1].

    Raises:
        TypeError: If ``images`` is not a floating point tensor.
        ValueError: If the shape or a value is wrong.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images should be a tensor, got {type(images).__name__}")
    if not images.is_floating_point():
        raise TypeError(f"images should be float in [0, 1], got {images.dtype}; v2.ToDtype(torch.float32, scale=True)")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise ValueError(f"images should have shape (B, 3, H, W) with H, W >= 1, got {tuple(images.shape)}")
    # On CUDA a look at the values would make the host wait; under torch.compile it would break the graph.
    if images.device.type == "cpu" and images.numel() and not torch.compiler.is_compiling():
        low, high = torch.aminmax(images.detach())
        if not (low >= 0 and high <= 1):  # a NaN fails both comparisons
            raise ValueError(f"images: values should lie in [0, 1], got [{low.item():.4g}, {high.item():.4g}]")
