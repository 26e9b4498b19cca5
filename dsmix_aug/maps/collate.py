"""A collate function that keeps what torch's own drops: the classes of images, references and maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data._utils.collate import collate, default_collate_fn_map
from torchvision import tv_tensors

from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap, wrap_like


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
    return collate(batch, collate_fn_map=_COLLATE_FN_MAP)


def _collate_tv_tensor(
    batch: Sequence[Tensor], *, collate_fn_map: dict[Any, Callable[..., Any]] | None = None
) -> Tensor:
    kinds = {type(tensor) for tensor in batch}
    if len(kinds) > 1:
        raise ValueError(f"batch: one place holds {', '.join(sorted(kind.__name__ for kind in kinds))}, expected one")
    first = batch[0]
    if isinstance(first, SensitivityMap):
        grids = {(dsm.patch_size, dsm.canvas_size) for dsm in batch if isinstance(dsm, SensitivityMap)}
        if len(grids) > 1:
            raise ValueError(f"batch: SensitivityMaps of one (patch_size, canvas_size) expected, got {sorted(grids)}")
    # As plain tensors, they are stacked the default way: in a worker, in memory shared with the main process.
    return wrap_like(collate([tensor.as_subclass(Tensor) for tensor in batch], collate_fn_map=collate_fn_map), first)


# The first class that a tensor is an instance of wins, so these come before Tensor.
_COLLATE_FN_MAP: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((tv_tensors.Image, Reference, SensitivityMap), _collate_tv_tensor),
    **default_collate_fn_map,
}
