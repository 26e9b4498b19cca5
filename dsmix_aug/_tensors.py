"""Helpers for tensors: moving numbers between host, NumPy and devices, and keeping the class of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors


def to_device(values: Sequence[Any] | np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Turn host numbers into a tensor on ``device`` without making the host wait for it."""
    return torch.tensor(values, dtype=dtype, device="cpu").to(device, non_blocking=True)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """View a CPU tensor as a NumPy array; bfloat16, which NumPy does not have, is converted to float32."""
    plain = tensor.detach().as_subclass(Tensor).resolve_neg()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()


def value_range(tensor: Tensor) -> tuple[float, float]:
    """Return the minimum and maximum of a CPU tensor that is not empty, NaN if it holds one."""
    array = to_numpy(tensor)
    return float(np.minimum.reduce(array, None)), float(np.maximum.reduce(array, None))


def wrap_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Give a plain tensor the TVTensor class and metadata of ``like``, if it is one."""
    if not isinstance(like, tv_tensors.TVTensor):
        return tensor
    own_wrap = getattr(type(like), "wrap", None)  # older torchvision drops the metadata of foreign classes
    return tv_tensors.wrap(tensor, like=like) if own_wrap is None else own_wrap(tensor, like)
