"""DSMix on plain tensors: nothing is drawn, nothing is checked, and everything runs on the tensors' own device.

:func:`dsmix` and what it is made of compile with ``torch.compile(..., fullgraph=True)``::

    from dsmix_aug import functional
    fused = torch.compile(functional.dsmix, fullgraph=True)
    images, labels, lam = fused(images, labels, maps, boxes, partner)

:class:`~dsmix_aug.DSMix` never compiles anything by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsmix_aug.maps.patch_grid import box_mask, patch_areas, pixels_per_patch
from dsmix_aug.maps.sensitivity import mean_patch_error

__all__ = ["dsmix", "mean_patch_error", "mix_labels", "mixing_weight"]


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
    pasted = pixels_per_patch(boxes, size, patch_size)
    kept = patch_areas(size, patch_size, boxes.device) - pasted
    lam = mixing_weight(maps, maps.index_select(0, partner), pasted, kept, weighting)
    return mixed, mix_labels(labels, labels.index_select(0, partner), lam), lam


def mixing_weight(maps: Tensor, partner_maps: Tensor, pasted: Tensor, kept: Tensor, weighting: str) -> Tensor:
    """Return lambda, the weight of the first image's label, for any set of pasted patches.

    A region's mass is a sum over all patches with the weight 0 outside the region, so that the mass of a region
    without distortion is exactly zero.

    Args:
        maps: (B, h, w), non-negative.
        partner_maps: (B, h, w), those of the partners.
        pasted: (B, h, w) or (1, h, w), the pixels of each patch that come from the partner.
        kept: Of the same shape, the pixels that do not.
        weighting: "mass", "retained" or "area", see :class:`~dsmix_aug.DSMix`.

    Returns:
        (B,) float64.
    """
    pasted, kept = pasted.to(torch.float64), kept.to(torch.float64)
    kept_area = kept.sum((1, 2))
    area = kept_area / (kept_area + pasted.sum((1, 2)))
    if weighting == "area":
        return area.expand(len(maps))
    maps, partner_maps = maps.to(torch.float64), partner_maps.to(torch.float64)
    own, partners = (maps * kept).sum((1, 2)), (partner_maps * pasted).sum((1, 2))
    if weighting == "retained":
        lost, left = (maps * pasted).sum((1, 2)), (partner_maps * kept).sum((1, 2))
        own, partners = _ratio(own, own + lost, 0.0), _ratio(partners, partners + left, 0.0)
    return _ratio(own, own + partners, area)


def _ratio(part: Tensor, whole: Tensor, otherwise: Tensor | float) -> Tensor:
    """Divide, with another value where the whole is zero; a NaN stays one."""
    return torch.where(whole == 0, otherwise, part / whole)


def mix_labels(labels: Tensor, partner_labels: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam * labels + (1 - lam) * partner_labels`` in the dtype of ``labels``, computed in float32 at least."""
    work = torch.float64 if labels.dtype == torch.float64 else torch.float32
    weight = lam.to(work).view(-1, *[1] * (labels.ndim - 1))
    return torch.lerp(partner_labels.to(work), labels.to(work), weight).to(labels.dtype)
