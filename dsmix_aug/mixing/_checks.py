"""What DSMix asks of its settings and of a sample, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from dsmix_aug._checks import check_image
from dsmix_aug.mixing.labels import BATCHES_ONLY


def check_alpha(alpha: object) -> float:
    """Return alpha as a float, or raise ``TypeError`` or ``ValueError``."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise TypeError(f"alpha should be a number, got {alpha!r}")
    limits = torch.finfo(torch.float32)
    if alpha < limits.tiny or not alpha <= limits.max:  # a NaN fails the last
        raise ValueError(f"alpha should be positive and finite, got {alpha} (draws are float32)")
    return float(alpha)


def check_is_batch(image: Tensor) -> None:
    """Raise ``ValueError``, as CutMix does, unless an image has four dimensions."""
    if image.ndim != 4:
        hint = f" {BATCHES_ONLY}." if image.ndim == 3 else ""
        raise ValueError(
            f"images should be (B, C, H, W), got {tuple(image.shape)}. Expected a batched input with 4 dims, but got "
            f"{image.ndim} dimensions instead.{hint}"
        )


def check_images(images: Sequence[Tensor], references: Sequence[Tensor]) -> None:
    """Check the images of a batch and their references: (B, C, H, W), float or uint8, of one B, H, W and device."""
    if not images:
        raise TypeError("No image was found in the sample")
    for image in (*images, *references):
        check_is_batch(image)
        check_image("images", image, form="(B, C, H, W)")
        plain, first = image.as_subclass(Tensor), images[0].as_subclass(Tensor)
        if plain.shape[-2:] != first.shape[-2:]:
            sizes = sorted({tuple(first.shape[-2:]), tuple(plain.shape[-2:])})
            raise ValueError(f"Found multiple HxW dimensions in the sample: '{sizes[0]}', '{sizes[1]}'")
        if len(plain) != len(first) or plain.device != first.device:
            raise ValueError(
                "images and references of a batch should have one batch size and device, got "
                f"{len(first)} on {first.device} and {len(plain)} on {plain.device}"
            )


def check_own_labels(labels: object, leaves: Sequence[Any]) -> None:
    """Raise ``ValueError`` if labels are a tensor from outside the sample, whose own would come back unmixed."""
    if not isinstance(labels, Tensor) or any(leaf is labels for leaf in leaves):
        return
    closed = [type(leaf).__name__ for leaf in leaves if isinstance(leaf, Mapping)]
    hint = f". {closed[0]} is not a structure that torch's pytree opens: pass a dict" if closed else ""
    raise ValueError(f"labels_getter should return one of the sample's own tensors, not a copy or a view of it{hint}")


def check_labels_fit(labels: Tensor, tensors: Sequence[Tensor]) -> None:
    """Raise ``ValueError`` unless labels have the batch size and the device of the tensors that are mixed."""
    for tensor in tensors:
        if tensor.ndim == 4 and len(tensor) != len(labels):
            raise ValueError(
                "The batch size of the image or video does not match the batch size of the labels: "
                f"{len(tensor)} != {len(labels)}."
            )
        if tensor.device != labels.device:
            raise ValueError(f"labels should be on the images' device, {tensor.device}, got {labels.device}")


def check_no_view(given_map: object, rest: Sequence[Any]) -> None:
    """Raise if the map is a view of a tensor that would come back unmixed."""
    for leaf in rest:
        if isinstance(given_map, Tensor) and isinstance(leaf, Tensor) and _share_memory(given_map, leaf):
            raise ValueError(
                "map_getter should return one of the sample's own tensors, or a new one, not a view of one, which "
                f"would stay unmixed: got a view of a tensor of shape {tuple(leaf.shape)}"
            )


def _share_memory(first: Tensor, second: Tensor) -> bool:
    if torch.strided != first.layout or torch.strided != second.layout:
        return False
    address = first.untyped_storage().data_ptr()
    return address != 0 and address == second.untyped_storage().data_ptr()
