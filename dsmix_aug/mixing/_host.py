"""DSMix for CPU tensors, in NumPy: on small arrays its calls cost a fraction of PyTorch's, above all with cold caches.

The same functions for tensors anywhere, and with gradient, are in :mod:`dsmix_aug.mixing._device`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dsmix_aug._tensors import to_numpy
from dsmix_aug.mixing.boxes import Box, is_roll, kept_area, to_patches


def is_on_host(*tensors: Tensor) -> bool:
    """Return whether tensors are on the CPU and no gradient is recorded for them."""
    return all(
        tensor.device.type == "cpu" and not (tensor.requires_grad and torch.is_grad_enabled()) for tensor in tensors
    )


def cut_and_paste(inputs: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Copy the batch, and paste each partner's box into it."""
    if inputs.ndim == 3:
        return _cut_and_paste_maps(inputs, boxes, partner)
    if len(boxes) == 1 and is_roll(partner):
        return _cut_and_paste_one_box(inputs.detach(), boxes[0])
    return _cut_and_paste_each(inputs.detach(), boxes, partner)


def _cut_and_paste_one_box(inputs: Tensor, box: Box) -> Tensor:
    """Paste one box of sample i - 1 into each sample i: two copies of views, which PyTorch shares among threads."""
    x1, y1, x2, y2 = box
    mixed = inputs.clone()
    source, target = (batch[..., y1:y2, x1:x2] for batch in (inputs, mixed))
    if x1 < x2:
        target[1:] = source[:-1]
        target[:1] = source[-1:]
    return mixed


def _cut_and_paste_each(inputs: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Copy sample by sample, its partner's box right after it: what the second copy reads and writes is in the cache.

    One thread does this faster than several that copy the batch twice.
    """
    mixed = torch.empty_like(inputs)
    target, source = _as_numpy(mixed), _as_numpy(inputs)
    for i, j in enumerate(partner):
        x1, y1, x2, y2 = boxes[i if len(boxes) > 1 else 0]
        target[i] = source[i]
        if x1 < x2:
            target[i, ..., y1:y2, x1:x2] = source[j, ..., y1:y2, x1:x2]
    return mixed


def _cut_and_paste_maps(maps: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Mix all maps at once: they are so small that the steps of a loop would cost more."""
    mixed = maps.detach().clone()
    target, source = _as_numpy(mixed), _as_numpy(maps.detach())
    if len(boxes) == 1:
        x1, y1, x2, y2 = boxes[0]
        target[:, y1:y2, x1:x2] = source[partner, y1:y2, x1:x2]
    else:
        np.copyto(target, source[partner], where=_patches_inside(boxes, target.shape[1], target.shape[2]))
    return mixed


def _as_numpy(tensor: Tensor) -> np.ndarray:
    """View a tensor's memory; of bfloat16, which NumPy does not have, the bits."""
    return tensor.view(torch.int16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def mixing_weight(
    maps: Tensor, boxes: Sequence[Box], partner: Sequence[int], size: tuple[int, int], patch_size: int, weighting: str
) -> Tensor:
    """Return lambda, (B,) float64, by "mass" or "retained"; boxes and ``size`` (height, width) in px."""
    mass = to_numpy(maps).astype(np.float64)
    height, width = size
    if height % patch_size:
        mass[:, -1] *= height % patch_size / patch_size
    if width % patch_size:
        mass[:, :, -1] *= width % patch_size / patch_size
    totals = _sum(mass) if weighting == "retained" else []
    kept, pasted = _masses(mass, to_patches(boxes, patch_size), partner)
    if weighting == "retained":
        kept = [part / whole if whole else 0.0 for part, whole in zip(kept, totals, strict=True)]
        pasted = [part / totals[j] if totals[j] else 0.0 for part, j in zip(pasted, partner, strict=True)]
    areas = [kept_area(box, size) for box in boxes] * (len(mass) if len(boxes) == 1 else 1)
    lam = [own / (own + other) if own + other else area for own, other, area in zip(kept, pasted, areas, strict=True)]
    return torch.from_numpy(np.array(lam, dtype=np.float64))


def _masses(mass: np.ndarray, boxes: Sequence[Box], partner: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return the mass that each sample keeps, and the mass that its partner pastes; may overwrite ``mass``."""
    if len(boxes) == 1:
        x1, y1, x2, y2 = boxes[0]
        inside = mass[:, y1:y2, x1:x2]
        cut = _sum(inside)
        inside[...] = 0  # rather than subtracting sums: what keeps no distortion has a mass of exactly 0
        return _sum(mass), [cut[j] for j in partner]
    pasted = _patches_inside(boxes, mass.shape[1], mass.shape[2])
    return _sum(mass * ~pasted), _sum(mass[partner] * pasted)


def _patches_inside(boxes: Sequence[Box], rows: int, columns: int) -> np.ndarray:
    """Return which patches lie in each box in patches, (N, rows, columns) bool."""
    x1, y1, x2, y2 = np.array(boxes).T[:, :, None]
    row, column = np.arange(rows), np.arange(columns)
    return ((row >= y1) & (row < y2))[:, :, None] & ((column >= x1) & (column < x2))[:, None]


def _sum(mass: np.ndarray) -> list[float]:
    sums: list[float] = np.add.reduce(mass, (1, 2)).tolist()
    return sums


def mix_labels(labels: Tensor, lam: Tensor, partner: Sequence[int], num_classes: int | None) -> Tensor:
    """Return lam * label + (1 - lam) * partner's label; indices become (B, num_classes) float32 first."""
    own = to_numpy(labels)
    if labels.ndim == 1 and not labels.is_floating_point():
        assert num_classes is not None
        own = (own[:, None] == np.arange(num_classes)).astype(np.float32)
    elif own.dtype not in (np.float32, np.float64):
        own = own.astype(np.float32)
    weight = lam.numpy().astype(own.dtype).reshape(-1, *[1] * (own.ndim - 1))
    mixed = own[partner]
    mixed *= 1 - weight
    mixed += own * weight
    result = torch.from_numpy(mixed)
    return result.to(labels.dtype) if labels.is_floating_point() else result
