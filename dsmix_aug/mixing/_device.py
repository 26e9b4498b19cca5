"""DSMix for tensors on any device, and with gradient, from boxes and partners drawn on the host; no host sync."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsmix_aug._tensors import to_device
from dsmix_aug.maps.patch_grid import box_mask, patch_areas, pixels_per_patch
from dsmix_aug.mixing import functional
from dsmix_aug.mixing.boxes import Box, is_roll


def cut_and_paste(inputs: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Paste one box by slices where CutMix's partners allow it, else all of them through a mask."""
    if len(boxes) == 1 and is_roll(partner):
        x1, y1, x2, y2 = boxes[0]
        mixed = inputs.clone()
        mixed[1:, ..., y1:y2, x1:x2] = inputs[:-1, ..., y1:y2, x1:x2]
        mixed[:1, ..., y1:y2, x1:x2] = inputs[-1:, ..., y1:y2, x1:x2]
        return mixed
    corners = to_device(boxes, inputs.device, torch.int64).view(-1, 4)
    inside = box_mask(corners, (inputs.shape[-2], inputs.shape[-1]))
    inside = inside.view(len(inside), *[1] * (inputs.ndim - 3), *inside.shape[1:])
    return torch.where(inside, _take(inputs, partner), inputs)


def mixing_weight(
    maps: Tensor, boxes: Sequence[Box], partner: Sequence[int], size: tuple[int, int], patch_size: int, weighting: str
) -> Tensor:
    """Return lambda, (B,) float64, by "mass" or "retained"; boxes and ``size`` (height, width) in px."""
    pasted = pixels_per_patch(to_device(boxes, maps.device), size, patch_size)
    kept = patch_areas(size, patch_size, maps.device) - pasted
    return functional.mixing_weight(maps, _take(maps, partner), pasted, kept, weighting)


def mix_labels(labels: Tensor, lam: Tensor, partner: Sequence[int], num_classes: int | None) -> Tensor:
    """Return lam * label + (1 - lam) * partner's label; indices become (B, num_classes) float32 first.

    An index outside [0, num_classes) gives a row of NaN: no device assert, and no silent zero.
    """
    soft = labels if labels.is_floating_point() else labels.float()
    if labels.ndim == 1 and not labels.is_floating_point():
        assert num_classes is not None
        hits = (labels.to(torch.int64).unsqueeze(1) == torch.arange(num_classes, device=labels.device)).float()
        soft = hits / hits.sum(1, keepdim=True)
    return functional.mix_labels(soft, _take(soft, partner), lam)


def _take(inputs: Tensor, partner: Sequence[int]) -> Tensor:
    return inputs.roll(1, 0) if is_roll(partner) else inputs.index_select(0, to_device(partner, inputs.device))
