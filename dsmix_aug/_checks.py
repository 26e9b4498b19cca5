"""Checks of settings and images that several modules share, made before any work is done or anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real

import numpy as np
import PIL.Image
import torch
from torch import Tensor

FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_integer(name: str, value: object, minimum: int = 1) -> int:
    """Return an integer, Python's or NumPy's, as an int.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is less than ``minimum``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} should be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} should be at least {minimum}, got {value}")
    return int(value)


def check_probability(p: object) -> float:
    """Return a probability as a float.

    Raises:
        ValueError: If it is not a number in [0, 1].
    """
    if isinstance(p, bool) or not isinstance(p, Real) or p < 0 or not p <= 1:  # a NaN fails the last
        raise ValueError(f"`p` should be a floating point value in the interval [0.0, 1.0]. Got {p!r}.")
    return float(p)


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} should be one of {tuple(choices)}, got {value!r}")


def check_image(
    name: str,
    image: object,
    *,
    form: str = "(..., C, H, W)",
    ranks: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
) -> None:
    """Check type, dtype and shape of an image or a batch; values are checked by :func:`check_unit_range`.

    Args:
        name: The argument's name.
        image: The value to check.
        form: The shape that is expected, in words.
        ranks: The numbers of dimensions that are allowed. Default: 3 or more.
        channels: The numbers of channels that are allowed. Default: 1 or more.

    Raises:
        TypeError: If it is not a dense tensor, float (16 to 64 bits) or uint8.
        ValueError: If the shape is wrong or there are no pixels.
    """
    if not isinstance(image, Tensor):
        hint = "; v2.functional.to_image makes one" if isinstance(image, (PIL.Image.Image, np.ndarray)) else ""
        raise TypeError(f"{name} should be a tensor, got {type(image).__name__}{hint}")
    if image.dtype != torch.uint8 and image.dtype not in FLOAT_DTYPES:
        raise TypeError(f"{name} should be float in [0, 1] or uint8, got {image.dtype}")
    if image.layout is not torch.strided:
        raise TypeError(f"{name} should be a dense tensor, got {image.layout}")
    shape = tuple(image.shape)
    if image.ndim < 3 or (ranks is not None and image.ndim not in ranks):
        raise ValueError(f"{name} should have shape {form}, got {shape}")
    if channels is not None and shape[-3] not in channels:
        allowed = " or ".join(map(str, channels))
        raise ValueError(f"{name} should have {allowed} channels, got {shape[-3]} in shape {shape}, expected {form}")
    if 0 in shape[-3:]:
        raise ValueError(f"{name} should have shape {form} with at least one pixel, got {shape}")


def check_unit_range(name: str, image: Tensor, values: str = "float values") -> None:
    """Raise ``ValueError`` unless the values of a float image lie in [0, 1]; ``values`` is what the message calls them.

    Values are seen only on the CPU: on a GPU a look at them would make the host wait, and under ``torch.compile`` it
    would break the graph.
    """
    if image.device.type != "cpu" or not image.is_floating_point() or not image.numel():
        return
    if torch.compiler.is_compiling():
        return
    plain = image.detach().as_subclass(Tensor)
    # aminmax is the faster one, but it copies what is not contiguous.
    extremes = torch.aminmax(plain) if plain.is_contiguous() else (plain.amin(), plain.amax())
    low, high = (extreme.item() for extreme in extremes)
    if not (low >= 0 and high <= 1):  # a NaN fails both comparisons
        hint = _range_hint(low, high)
        raise ValueError(f"{name}: {values} should lie in [0, 1], got [{low:.4g}, {high:.4g}]{hint}")


def _range_hint(low: float, high: float) -> str:
    """Say what most likely left [0, 1]: levels of 0 to 255, ``v2.Normalize``, or an interpolation that overshoots."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if high > 2 and (low > -1 or high > 50):
        return "; levels of 0 to 255: divide by 255 or pass uint8"
    if high > 2 or low < -0.5:
        return "; images are needed as they are before v2.Normalize"
    return "; where an interpolation such as bicubic left the range, clamp_(0, 1) brings it back"


def check_network_input(images: Tensor, device: torch.device) -> None:
    """Check that images are (B, 3, H, W) floats on the network's device, and on the CPU that they lie in [0, 1].

    Raises:
        TypeError: If ``images`` is not a floating point tensor.
        ValueError: If the shape, the device or a value is wrong.
    """
    if isinstance(images, Tensor) and images.dtype == torch.uint8:
        raise TypeError("images should be float in [0, 1], got torch.uint8; v2.ToDtype(torch.float32, scale=True)")
    check_image("images", images, form="(B, 3, H, W)", ranks=(4,), channels=(3,))
    if images.device != device:
        raise ValueError(f"images should be on the model's device {device}, got {images.device}")
    check_unit_range("images", images, "values")
