"""Devices: whether the one that was asked for is there, and whether it is fast in bfloat16."""

from __future__ import annotations

import torch


def check_device(name: str | torch.device) -> None:
    """Raise an error unless tensors can be put on the device, such as ``"cpu"`` or ``"cuda:1"``, and read back.

    Raises:
        ValueError: If torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device should be one that torch knows, such as 'cpu' or 'cuda', got {name!r}") from error
    if device.type == "cuda":  # asked for without a context on the device, which would take its memory
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise ValueError(f"device: {str(name)!r} is not there, torch finds {count} CUDA device(s) on this machine")
        return
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, ImportError) as error:  # a build without the device raises any of them
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device: {str(name)!r} cannot be used on this machine ({reason})") from error


def is_fast_in_bfloat16(name: str | torch.device) -> bool:
    """Return whether networks gain from bfloat16 autocast on a device.

    Without instructions for it they run all the same, but on a CPU without AVX-512 a convolution takes 15 times as long
    as in float32.
    """
    device = torch.device(name)
    if device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def bfloat16_autocast(device: str | torch.device, wanted: bool) -> torch.autocast:
    """Return bfloat16 autocast for a device, which does nothing unless it is wanted and fast there."""
    enabled = wanted and is_fast_in_bfloat16(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)
