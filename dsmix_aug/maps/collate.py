"""A collate function that keeps the classes of images, references and maps, which torch's own drops."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, cast

from torch import Tensor
from torch.utils.data import default_collate
from torchvision import tv_tensors

from dsmix_aug._tensors import wrap_like
from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap


def collate_tv_tensors(batch: Sequence[Any]) -> Any:
    """Collate as ``torch.utils.data.default_collate``, but keep Image, Reference and SensitivityMap what they are.

    A ``Reference`` that the dataset returned, and its transforms moved with the image, is still one in the batch, so
    that ``mix(*collate_tv_tensors(samples))`` finds it. Everything else comes out as from ``default_collate``.

    Args:
        batch: Samples of one structure: tensors, numbers, strings, and tuples, lists and mappings of them.

    Returns:
        The same structure, with (B, ...) tensors.

    Raises:
        ValueError: If maps differ in ``patch_size`` or ``canvas_size``.
        RuntimeError: If tensors differ in shape, as ``default_collate``.

    Example:
        >>> import torch
        >>> from dsmix_aug import Reference, collate_tv_tensors
        >>> samples = [(torch.rand(3, 32, 32), 1, Reference(torch.rand(3, 32, 32))) for _ in range(4)]
        >>> images, labels, references = collate_tv_tensors(samples)
        >>> type(references).__name__, references.shape, labels.tolist()
        ('Reference', torch.Size([4, 3, 32, 32]), [1, 1, 1, 1])
    """
    first = batch[0]
    if isinstance(first, (tv_tensors.Image, Reference, SensitivityMap)):
        return _stack(batch)
    if isinstance(first, Mapping):
        return _rebuild(first, {key: collate_tv_tensors([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):  # a namedtuple
        return type(first)(*map(collate_tv_tensors, zip(*batch, strict=True)))
    if isinstance(first, Sequence) and not isinstance(first, (str, bytes)):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")  # default_collate's words
        parts = [collate_tv_tensors(place) for place in zip(*batch, strict=True)]
        return parts if isinstance(first, tuple) else _rebuild(first, parts)
    return default_collate(cast("list[Any]", batch))  # it takes any sequence


def _rebuild(first: Any, parts: Any) -> Any:
    """Put parts into a container of the class of ``first`` where it can be made, as ``default_collate`` does."""
    try:
        if not isinstance(first, (MutableMapping, MutableSequence)):
            return type(first)(parts)
        clone: Any = copy.copy(first)  # keeps what else the object holds
        for key in parts if isinstance(parts, dict) else range(len(parts)):
            clone[key] = parts[key]
        return clone
    except TypeError:
        return parts


def _stack(batch: Sequence[Tensor]) -> Tensor:
    kinds = {type(tensor) for tensor in batch}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"batch: mixed types at one position: {names}")
    grids = {(dsm.patch_size, dsm.canvas_size) for dsm in batch if isinstance(dsm, SensitivityMap)}
    if len(grids) > 1:
        raise ValueError(f"batch: SensitivityMaps of one (patch_size, canvas_size) expected, got {sorted(grids)}")
    # As plain tensors, they are stacked the default way: in a worker, in memory shared with the main process.
    return wrap_like(default_collate([tensor.as_subclass(Tensor) for tensor in batch]), batch[0])
