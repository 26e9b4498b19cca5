"""The distortion-induced sensitivity map (DSM) of a distorted image whose reference is known."""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from dsmix_aug._checks import FLOAT_DTYPES, check_image, check_integer, check_unit_range
from dsmix_aug._tensors import value_range
from dsmix_aug.maps._patch_error import mean_patch_error
from dsmix_aug.maps.patch_grid import grid_size
from dsmix_aug.maps.tv_tensors import SensitivityMap


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
        TypeError: If an argument is not a dense tensor, a dtype is neither float (16 to 64 bits) nor uint8, or one is
            float and one uint8.
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
    patch_size = check_integer("patch_size", patch_size)
    check_pair(distorted, reference, "distorted", "reference")
    if (distorted.dtype == torch.uint8) != (reference.dtype == torch.uint8):
        raise TypeError(
            f"distorted and reference should be both float in [0, 1] or both uint8, got {distorted.dtype} and "
            f"{reference.dtype}"
        )
    errors = mean_patch_error(distorted.as_subclass(Tensor), reference.as_subclass(Tensor), patch_size)
    return SensitivityMap(errors, patch_size=patch_size, canvas_size=(distorted.shape[-2], distorted.shape[-1]))


def check_pair(distorted: Tensor, reference: Tensor, distorted_name: str, reference_name: str) -> None:
    """Check that two arguments are images of one shape on one device, float in [0, 1] (seen only on the CPU) or uint8.

    Raises:
        TypeError: If one is not a dense tensor, float or uint8.
        ValueError: If shapes, devices or values do not fit.
    """
    check_image(distorted_name, distorted)
    check_image(reference_name, reference)
    distorted, reference = distorted.as_subclass(Tensor), reference.as_subclass(Tensor)  # whose attributes are faster
    if distorted.shape != reference.shape:
        raise ValueError(
            f"{reference_name} should have the shape of {distorted_name}, {tuple(distorted.shape)}, got "
            f"{tuple(reference.shape)}"
        )
    if distorted.device != reference.device:
        raise ValueError(
            f"{reference_name} should be on the device of {distorted_name}, {distorted.device}, got {reference.device}"
        )
    check_unit_range(distorted_name, distorted)
    check_unit_range(reference_name, reference)


def check_map(name: str, given: object, images: Tensor, patch_size: int) -> None:
    """Check a map (B, h, w) against its images (B, C, H, W), and on the CPU that it is finite and not negative.

    Raises:
        TypeError: If it is not a dense tensor, or boolean, complex or a float of 8 bits.
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
    plain = given.as_subclass(Tensor)  # first, because attributes of a subclass are slower
    is_number = plain.dtype in FLOAT_DTYPES or not (plain.is_floating_point() or plain.is_complex())
    if plain.dtype == torch.bool or not is_number or plain.layout is not torch.strided:
        raise TypeError(f"{name} should give a dense map of numbers, got {plain.dtype}, {plain.layout}")
    expected = (len(images), *grid_size(size, patch_size))
    if tuple(plain.shape) != expected:
        raise ValueError(
            f"{name} should give a map of shape {expected} for images of shape {tuple(images.shape)} and "
            f"patch_size={patch_size}, got {tuple(plain.shape)}"
        )
    if plain.device != images.device:
        raise ValueError(f"{name} should give a map on the images' device, {images.device}, got {plain.device}")
    if plain.device.type == "cpu" and plain.numel():
        _check_map_values(name, plain, size)


def _check_map_values(name: str, plain: Tensor, size: tuple[int, int]) -> None:
    low, high = value_range(plain)
    if not (low >= 0 and high < math.inf):
        raise ValueError(f"{name}: map values should be finite and not negative, got [{low:.4g}, {high:.4g}]")
    largest = sys.float_info.max / (2 * size[0] * size[1])  # of which the masses of two images can be added
    if high > largest:
        raise ValueError(f"{name}: map values should be at most {largest:.4g}, got {high:.4g}")
