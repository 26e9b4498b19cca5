"""The labels of a batch: found in a sample, checked, and made soft."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import is_pure_tensor

from dsmix_aug._checks import FLOAT_DTYPES
from dsmix_aug._tensors import value_range

#: Hint for a single sample where a batch is expected.
BATCHES_ONLY = "DSMix mixes batches: use it in collate_fn or after the DataLoader"

_INTEGERS = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
_INTEGER_DTYPES = tuple(getattr(torch, name) for name in _INTEGERS)


def parse_labels_getter(labels_getter: object) -> Callable[[Any], Any]:
    """Return the function from a sample to its labels; each of them pickles if the given one does.

    Raises:
        ValueError: If it is neither ``"default"``, callable nor None.
    """
    if isinstance(labels_getter, str) and labels_getter == "default":
        return find_labels
    if callable(labels_getter):
        return labels_getter
    if labels_getter is None:
        return _no_labels
    hint = f"; operator.itemgetter({labels_getter!r}) takes that key" if isinstance(labels_getter, str) else ""
    raise ValueError(f"labels_getter should either be 'default', a callable, or None, but got {labels_getter}{hint}.")


def _no_labels(sample: Any) -> None:
    return None


def find_labels(sample: Any) -> Any:
    """Find labels as torchvision's CutMix does.

    The second item of a tuple or list, or the sample itself, if it is a plain tensor; in a mapping the item whose key
    is "labels" in any case, else the first whose key contains "label".

    Raises:
        ValueError: If there is no such item.
    """
    found = sample
    if isinstance(sample, (tuple, list)):
        found = sample[1] if len(sample) > 1 else None
    if is_pure_tensor(found):
        return found
    if not isinstance(found, Mapping):
        hint = f" {BATCHES_ONLY}." if isinstance(found, Number) else ""
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a dictionary or a two-tuple "
            f"whose second item is a dictionary or a tensor, but got {type(sample).__name__} with "
            f"{type(found).__name__} instead.{hint}"
        )
    keys = [key for key in found if isinstance(key, str)]
    for key in (*(k for k in keys if k.lower() == "labels"), *(k for k in keys if "label" in k.lower())):
        return found[key]
    raise ValueError(
        "Could not infer where the labels are in the sample. Try passing a callable as the labels_getter parameter? "
        f"Its keys are {list(found)}."
    )


def check_labels(labels: object, num_classes: int | None) -> None:
    """Check form and dtype of labels, and on the CPU their values.

    Raises:
        TypeError: If the dtype is neither integer nor floating point of 16 to 64 bits.
        ValueError: If they are not a tensor, of another shape, or out of range.
    """
    if not isinstance(labels, Tensor):
        hint = f" {BATCHES_ONLY}." if isinstance(labels, Number) else ""
        raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.{hint}")
    if labels.ndim not in (1, 2):
        raise ValueError(
            "labels should be index based with shape (batch_size,) or probability based with shape (batch_size, "
            f"num_classes), but got a tensor of shape {tuple(labels.shape)} instead."
        )
    if labels.dtype not in FLOAT_DTYPES and labels.dtype not in _INTEGER_DTYPES:
        raise TypeError(
            f"labels should be of an integer or a floating point dtype of 16 to 64 bits, got {labels.dtype}"
        )
    if labels.ndim == 2 and num_classes is not None and labels.shape[-1] != num_classes:
        raise ValueError(
            "When passing 2D labels, the number of elements in last dimension must match num_classes: "
            f"{labels.shape[-1]} != {num_classes}. You can Leave num_classes to None."
        )
    if labels.ndim == 1 and labels.is_floating_point() and num_classes is not None:
        raise ValueError(
            f"labels of shape (batch_size,) and {labels.dtype} are scores, which need num_classes=None, got "
            f"num_classes={num_classes}"
        )
    if labels.ndim == 1 and not labels.is_floating_point() and num_classes is None:
        raise ValueError("num_classes must be passed if the labels are index-based (1D)")
    if labels.device.type == "cpu" and labels.numel():
        _check_values(labels, num_classes)


def _check_values(labels: Tensor, num_classes: int | None) -> None:
    low, high = value_range(labels)
    if labels.is_floating_point():
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"labels should be finite, got [{low}, {high}]")
    elif num_classes is not None and labels.ndim == 1:
        if low < 0:
            raise ValueError(f"Class values must be non-negative. Got labels with {low:.0f}.")
        if high >= num_classes:
            raise ValueError(
                f"Class values must be smaller than num_classes. Got labels with {high:.0f}, num_classes={num_classes}."
            )


def soft_labels(labels: Tensor, num_classes: int | None) -> Tensor:
    """Return labels in floating point; indices become (B, num_classes) float32.

    An index outside [0, num_classes) gives a row of NaN: no device assert, and no silent zero.
    """
    if labels.is_floating_point():
        return labels
    if labels.ndim == 2:
        return labels.float()
    assert num_classes is not None
    hits = (labels.to(torch.int64).unsqueeze(1) == torch.arange(num_classes, device=labels.device)).float()
    return hits / hits.sum(1, keepdim=True)
