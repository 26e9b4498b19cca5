"""DSMix on plain tensors: nothing is drawn, nothing is checked, and everything runs on the tensors' own device.

:func:`dsmix` and what it is made of compile with ``torch.compile(..., fullgraph=True)``::

    from dsmix_aug import functional
    fused = torch.compile(functional.dsmix, fullgraph=True)
    images, labels, lam = fused(images, labels, maps, boxes, partner)

:class:`~dsmix_aug.DSMix` never compiles anything by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsmix_aug._patch_grid import box_mask, pixels_per_patch
from dsmix_aug.distortions._distortion import to_device
from dsmix_aug.sensitivity import mean_patch_error

__all__ = ["Box", "cut_and_paste", "dsmix", "mean_patch_error", "mix_labels", "mixing_weight"]

#: x1, y1, x2, y2 in px (or patches, for maps), as torchvision's CutMix and ``BoundingBoxFormat.XYXY``.
Box = tuple[int, int, int, int]


def dsmix(
    images: Tensor,
    labels: Tensor,
    maps: Tensor,
    boxes: Tensor,
    partner: Tensor,
    *,
    patch_size: int = 16,
    weighting: str = "mass",
) -> tuple[Tensor, Tensor, Tensor]:
    """Paste a box of its partner into each image and weigh the two labels by their sensitivity maps.

    Args:
        images: (B, C, H, W) of any dtype.
        labels: (B, K) soft labels or (B,) scores, floating point.
        maps: (B, h, w), non-negative; the grid of ``patch_size`` over the images.
        boxes: (B, 4) or (1, 4) integers, rows x1, y1, x2, y2 in px, edges on the patch grid or the border.
        partner: (B,) int64, whose box goes into image i.
        patch_size: Side of a patch in px.
        weighting: "mass", "retained" or "area", see :class:`~dsmix_aug.DSMix`.

    Returns:
        The mixed images, the mixed labels, and lambda, the weight of image i's own label, (B,) float64.

    Example:
        >>> import torch
        >>> from dsmix_aug import functional
        >>> images, labels, maps = torch.rand(2, 3, 32, 32), torch.eye(2), torch.tensor([3.0, 1.0]).view(2, 1, 1)
        >>> _, labels, lam = functional.dsmix(
        ...     images, labels, maps.expand(2, 2, 2), torch.tensor([[0, 0, 16, 32]]), torch.tensor([1, 0])
        ... )
        >>> lam.tolist()
        [0.75, 0.25]
    """
    size = (images.shape[-2], images.shape[-1])
    inside = box_mask(boxes, size).unsqueeze(1)
    mixed = torch.where(inside, images.index_select(0, partner), images)
    pixels = pixels_per_patch(size, patch_size, maps.device)
    pasted = box_mask(boxes, size, patch_size)
    lam = mixing_weight(maps, maps.index_select(0, partner), pasted, pixels, weighting)
    return mixed, mix_labels(labels, labels.index_select(0, partner), lam), lam


def mixing_weight(maps: Tensor, partner_maps: Tensor, pasted: Tensor, pixels: Tensor, weighting: str) -> Tensor:
    """Return lambda, the weight of the first image's label, for any set of pasted patches.

    Args:
        maps: (B, h, w), non-negative.
        partner_maps: (B, h, w), those of the partners.
        pasted: (B, h, w) or (1, h, w) bool, the patches that come from the partner.
        pixels: (h, w), the pixels that each patch covers.
        weighting: "mass", "retained" or "area", see :class:`~dsmix_aug.DSMix`.

    Returns:
        (B,) float64. Sums are over patches that are exactly zero outside their region, so that a pristine region has
        a mass of exactly zero.
    """
    both = (-2, -1)
    pixels = pixels.to(torch.float64)
    area = torch.where(pasted, 0.0, pixels).sum(both) / pixels.sum()
    if weighting == "area":
        return area.expand(len(maps))
    mass, partner_mass = maps.to(torch.float64) * pixels, partner_maps.to(torch.float64) * pixels
    keep, paste = torch.where(pasted, 0.0, mass).sum(both), torch.where(pasted, partner_mass, 0.0).sum(both)
    if weighting == "retained":
        keep, paste = _ratio(keep, mass.sum(both), 0.0), _ratio(paste, partner_mass.sum(both), 0.0)
    return _ratio(keep, keep + paste, area)


def _ratio(part: Tensor, whole: Tensor, otherwise: Tensor | float) -> Tensor:
    """Divide, with another value where the whole is zero; a NaN stays one."""
    empty = whole == 0
    return torch.where(empty, otherwise, part / whole.masked_fill(empty, 1.0))


def mix_labels(labels: Tensor, partner_labels: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam * labels + (1 - lam) * partner_labels`` in the dtype of ``labels``, computed in float32 at least."""
    work = torch.float64 if labels.dtype == torch.float64 else torch.float32
    weight = lam.to(work).view(-1, *[1] * (labels.ndim - 1))
    return torch.lerp(partner_labels.to(work), labels.to(work), weight).to(labels.dtype)


def cut_and_paste(inputs: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Return a copy of each sample with a box of its partner pasted in, the fastest way that its device has.

    Args:
        inputs: (B, ..., H, W) of any dtype.
        boxes: One box for all, or B of them.
        partner: Whose box goes into sample i.
    """
    if len(boxes) == 1 and is_roll(partner):
        x1, y1, x2, y2 = boxes[0]
        mixed = inputs.clone()
        mixed[1:, ..., y1:y2, x1:x2] = inputs[:-1, ..., y1:y2, x1:x2]
        mixed[:1, ..., y1:y2, x1:x2] = inputs[-1:, ..., y1:y2, x1:x2]
        return mixed
    if inputs.device.type == "cpu" and not (inputs.requires_grad and torch.is_grad_enabled()):
        return _paste_on_host(inputs, boxes, partner)
    corners = to_device(boxes, inputs.device).view(-1, 4)
    inside = box_mask(corners, (inputs.shape[-2], inputs.shape[-1]))
    inside = inside.view(len(inside), *[1] * (inputs.ndim - 3), *inside.shape[1:])
    return torch.where(inside, take(inputs, partner), inputs)


def _paste_on_host(inputs: Tensor, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
    """Copy box by box through NumPy views, which cost a fraction of PyTorch's per call, and half of a masked batch."""
    mixed = inputs.detach().clone()
    # NumPy has no bfloat16; the bits are copied all the same.
    bits = torch.int16 if inputs.dtype == torch.bfloat16 else inputs.dtype
    target, source = mixed.view(bits).numpy(), inputs.detach().view(bits).numpy()
    for i, j in enumerate(partner):
        x1, y1, x2, y2 = boxes[i if len(boxes) > 1 else 0]
        if x1 < x2 and y1 < y2:
            target[i, ..., y1:y2, x1:x2] = source[j, ..., y1:y2, x1:x2]
    return mixed


def roll(batch_size: int) -> list[int]:
    """Return the partners that torchvision's CutMix takes: sample i meets sample i - 1."""
    return [(i - 1) % batch_size for i in range(batch_size)]


def is_roll(partner: Sequence[int]) -> bool:
    """Return whether partners are those of :func:`roll`, for which slices and ``Tensor.roll`` do."""
    return list(partner) == roll(len(partner))


def take(inputs: Tensor, partner: Sequence[int]) -> Tensor:
    """Return each sample's partner, without a host sync."""
    return inputs.roll(1, 0) if is_roll(partner) else inputs.index_select(0, to_device(partner, inputs.device))
