"""Checks of what callers pass, made before any work is done and before anything random is drawn."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from dsmix_aug._checks import check_image, check_unit_range

INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_range_mode(range_mode: object) -> None:
    """Raise ``ValueError`` unless ``range_mode`` is a known one."""
    if range_mode not in ("clip", "kadis"):
        raise ValueError(f"range_mode should be 'clip' or 'kadis', got {range_mode!r}")


def check_images(images: Tensor) -> None:
    """Check type, dtype, rank and channels of images, and on the CPU that float values lie in [0, 1].

    Raises:
        TypeError: If ``images`` is not a dense tensor, float (16 to 64 bits) or uint8.
        ValueError: If the shape or a value is wrong.
    """
    check_image("images", images, form="(B, C, H, W) or (C, H, W)", ranks=(3, 4), channels=(1, 3))
    check_unit_range("images", images)


def levels_list(level: object, batch_size: int, num_levels: int) -> list[int]:
    """Return one level per sample as host integers.

    Raises:
        TypeError: If ``level`` is not integer, or a tensor on another device than the CPU.
        ValueError: If there are not ``batch_size`` of them or one is not in 1..``num_levels``.
    """
    levels = host_integers("level", level, batch_size)
    wrong = [value for value in levels if not 1 <= value <= num_levels]
    if wrong:
        raise ValueError(f"level should be between 1 and {num_levels}, got {wrong[0]}")
    return levels


def host_integers(argument: str, given: object, batch_size: int) -> list[int]:
    """Return ``given`` (an int for all samples, a list, an array or a CPU tensor) as ``batch_size`` host integers."""
    if isinstance(given, Tensor):
        if given.device.type != "cpu":
            raise TypeError(f"{argument} should be on the CPU (it decides what the host launches), got {given.device}")
        if given.dtype not in INTEGER_DTYPES:
            raise TypeError(f"{argument} should be of an integer dtype, got {given.dtype}")
        if given.ndim > 1:
            raise ValueError(f"{argument} should have shape () or ({batch_size},), got {tuple(given.shape)}")
    if isinstance(given, (Tensor, np.ndarray)):
        given = given.tolist()
    if is_integer(given):
        return [int(given)] * batch_size
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"{argument} should be an int, a list of ints or a CPU tensor, got {type(given).__name__}")
    if not all(is_integer(value) for value in given):
        raise TypeError(f"{argument} should hold integers, got {list(given)!r}")
    if len(given) != batch_size:
        raise ValueError(f"{argument} should have one entry per sample: expected {batch_size}, got {len(given)}")
    return [int(value) for value in given]


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether ``value`` is an int of Python or NumPy; a bool is not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``"did you mean 'jpeg'? "`` for a name close to a known one, else nothing."""
    close = difflib.get_close_matches(str(name).lower().replace(" ", "_").replace("-", "_"), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
