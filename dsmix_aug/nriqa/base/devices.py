"""Devices: whether networks can run where they are asked to."""

from __future__ import annotations

import torch


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ValueError: If there is no device of that name, or it cannot be used.
    """
    try:
        torch.zeros((), device=device).item()
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device should be one that this machine has, such as 'cpu', got {device!r}: {reason}"
        ) from error
