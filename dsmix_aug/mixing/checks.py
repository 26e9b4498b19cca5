"""What DSMix checks: its settings once, and the tensors of a batch before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dsmix_aug._tensors import value_range
from dsmix_aug.maps.patch_grid import check_patch_size, grid_size
from dsmix_aug.maps.tv_tensors import SensitivityMap


def check_settings(
    num_classes: object,
    alpha: object,
    patch_size: object,
    weighting: object,
    box: object,
    partner: object,
    p: object,
    estimator: object,
    map_getter: object,
) -> None:
    """Raise unless DSMix can be built with these.

    Raises:
        TypeError: If one has the wrong type.
        ValueError: If one is out of its range.
    """
    if num_classes is not None:
        if not isinstance(num_classes, int) or isinstance(num_classes, bool):
            raise TypeError(f"num_classes should be an integer or None, got {num_classes!r}")
        if num_classes < 1:
            raise ValueError(f"num_classes should be at least 1, got {num_classes}")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise TypeError(f"alpha should be a number, got {alpha!r}")
    if not (alpha > 0 and math.isfinite(alpha)):
        raise ValueError(f"alpha should be positive and finite, got {alpha}")
    check_patch_size(patch_size)
    for name, value, choices in (
        ("weighting", weighting, ("mass", "retained", "area")),
        ("box", box, ("batch", "sample")),
        ("partner", partner, ("roll", "random")),
    ):
        if value not in choices:
            raise ValueError(f"{name} should be one of {choices}, got {value!r}")
    if not isinstance(p, (int, float)) or not 0.0 <= p <= 1.0:
        raise ValueError(f"`p` should be a floating point value in the interval [0.0, 1.0]. Got {p!r}.")
    for name, value in (("estimator", estimator), ("map_getter", map_getter)):
        if value is not None and not callable(value):
            raise TypeError(f"{name} should be callable or None, got {type(value).__name__}")


def check_images(images: Sequence[Tensor], references: Sequence[Tensor]) -> None:
    """Check the images of a batch and their references: (B, C, H, W), float or uint8, of one B, H, W and device.

    Raises:
        TypeError: If there is no image, or one of another dtype.
        ValueError: If a shape or a device does not fit.
    """
    if not images:
        raise TypeError("No image was found in the sample")
    for image in (*images, *references):
        if image.ndim != 4:
            raise ValueError(f"Expected a batched input with 4 dims, but got {image.ndim} dimensions instead.")
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise TypeError(f"images should be float or uint8, got {image.dtype}")
        if 0 in image.shape[1:]:
            raise ValueError(f"images should have channels and pixels, got shape {tuple(image.shape)}")
        if image.shape[-2:] != images[0].shape[-2:]:
            sizes = sorted({tuple(images[0].shape[-2:]), tuple(image.shape[-2:])})
            raise ValueError(f"Found multiple HxW dimensions in the sample: '{sizes[0]}', '{sizes[1]}'")
        if len(image) != len(images[0]) or image.device != images[0].device:
            raise ValueError(
                "images and references of a batch should have one batch size and device, got "
                f"{len(images[0])} on {images[0].device} and {len(image)} on {image.device}"
            )


def check_map(name: str, given: Any, images: Tensor, patch_size: int) -> None:
    """Check a map (B, h, w) against the images that it belongs to, and on the CPU that it is finite and non-negative.

    Raises:
        TypeError: If it is no tensor, or boolean or complex.
        ValueError: If its shape, device, metadata or values do not fit.
    """
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} should give a map tensor, got {type(given).__name__}")
    size = (images.shape[-2], images.shape[-1])
    if isinstance(given, SensitivityMap) and (given.patch_size, given.canvas_size) != (patch_size, size):
        raise ValueError(
            f"{name} should belong to the images: expected patch_size={patch_size} and canvas_size={size}, got "
            f"patch_size={given.patch_size} and canvas_size={given.canvas_size}"
        )
    given = given.as_subclass(Tensor)  # before anything else is asked of it: attributes of a subclass cost more
    if given.dtype == torch.bool or given.is_complex():
        raise TypeError(f"{name} should give a map of numbers, got {given.dtype}")
    expected = (len(images), *grid_size(size, patch_size))
    if tuple(given.shape) != expected:
        raise ValueError(
            f"{name} should give a map of shape {expected} for images of shape {tuple(images.shape)} and "
            f"patch_size={patch_size}, got {tuple(given.shape)}"
        )
    if given.device != images.device:
        raise ValueError(f"{name} should give a map on the images' device, {images.device}, got {given.device}")
    if given.device.type == "cpu" and given.numel():
        low, high = value_range(given)
        if not (low >= 0 and high < math.inf):
            raise ValueError(f"{name}: map values should be finite and not negative, got [{low:.4g}, {high:.4g}]")
