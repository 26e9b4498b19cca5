"""Whether the device that was asked for is there."""

from __future__ import annotations

import torch


def check_device(name: str) -> None:
    """Raise unless this machine has the device.

    Raises:
        ValueError: If torch knows no such device, or it cannot be used here.
    """
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device: {name!r} cannot be used on this machine ({reason})") from error
