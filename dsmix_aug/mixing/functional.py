"""DSMix on plain tensors: nothing is drawn, only names are checked, and everything runs on the tensors' device.

:func:`dsmix` and what it is made of compile with ``torch.compile(..., fullgraph=True)``::

    from dsmix_aug import functional
    fused = torch.compile(functional.dsmix, fullgraph=True)
    images, labels, lam = fused(images, labels, maps, boxes, partner)

:class:`~dsmix_aug.DSMix` never compiles anything by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dsmix_aug._checks import check_choice
from dsmix_aug.maps._patch_error import mean_patch_error
from dsmix_aug.maps.patch_grid import box_mask, patch_areas, pixels_per_patch

__all__ = ["WEIGHTINGS", "Regions", "Weighting", "dsmix", "mean_patch_error", "mix_labels", "mixing_weight"]

Weighting = Literal["mass", "retained", "area"]


class Regions(NamedTuple):
    """The masses of the regions that a cut makes, map value x pixels, (B,) float64, and the share of pixels kept."""

    kept: Tensor  #: Of the image, outside the box: seen in the mixed image.
    lost: Tensor  #: Of the image, inside the box.
    pasted: Tensor  #: Of the partner, inside the box: seen in the mixed image.
    left: Tensor  #: Of the partner, outside the box.
    kept_area: Tensor  #: Share of the pixels outside the box, (B,) or (1,).


def _mass(regions: Regions) -> Tensor:
    return _share(regions.kept, regions.pasted, regions.kept_area)


def _retained(regions: Regions) -> Tensor:
    own, partners = _share(regions.kept, regions.lost, 0.0), _share(regions.pasted, regions.left, 0.0)
    return _share(own, partners, regions.kept_area)


def _area(regions: Regions) -> Tensor:
    return regions.kept_area


def _share(part: Tensor, rest: Tensor, otherwise: Tensor | float) -> Tensor:
    """Return part / (part + rest), and another value where both are zero; a NaN stays one."""
    whole = part + rest
    is_zero = whole == 0
    return torch.where(is_zero, otherwise, part / whole.masked_fill(is_zero, 1))


#: The rules for lambda by name: each gives the weight of the image's own label, (B,), from the masses of the regions.
WEIGHTINGS: dict[str, Callable[[Regions], Tensor]] = {"mass": _mass, "retained": _retained, "area": _area}


def dsmix(
    images: Tensor,
    labels: Tensor,
    maps: Tensor,
    boxes: Tensor,
    partner: Tensor,
    *,
    patch_size: int = 16,
    weighting: Weighting = "mass",
) -> tuple[Tensor, Tensor, Tensor]:
    """Paste a box of its partner into each image and weigh the two labels by their sensitivity maps.

    Args:
        images: (B, C, H, W) of any dtype.
        labels: (B, K) soft labels or (B,) scores, floating point.
        maps: (B, h, w), non-negative; the grid of ``patch_size`` over the images.
        boxes: (B, 4) or (1, 4) integers, rows x1, y1, x2, y2 in px, edges on the patch grid or the border.
        partner: (B,) int64, whose box goes into image i.
        patch_size: Side of a patch in px.
        weighting: ``"mass"``, ``"retained"`` or ``"area"``, see :class:`~dsmix_aug.DSMix`.

    Returns:
        The mixed images, the mixed labels, and lambda, the weight of image i's own label, (B,) float64.

    Raises:
        ValueError: If ``weighting`` is unknown.

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
    check_choice("weighting", weighting, WEIGHTINGS)
    size = (images.shape[-2], images.shape[-1])
    mixed = paste(images, images.index_select(0, partner), boxes)
    pasted = pixels_per_patch(boxes, size, patch_size)
    kept = patch_areas(size, patch_size, boxes.device) - pasted
    lam = mixing_weight(maps, maps.index_select(0, partner), pasted, kept, weighting)
    return mixed, mix_labels(labels, labels.index_select(0, partner), lam), lam


def paste(inputs: Tensor, partners: Tensor, boxes: Tensor) -> Tensor:
    """Return ``inputs``, and inside the boxes ``partners``, both (B, ..., H, W); boxes as in :func:`dsmix`."""
    inside = box_mask(boxes, (inputs.shape[-2], inputs.shape[-1]))
    return torch.where(inside.view(len(inside), *[1] * (inputs.ndim - 3), *inside.shape[1:]), partners, inputs)


def mixing_weight(maps: Tensor, partner_maps: Tensor, pasted: Tensor, kept: Tensor, weighting: Weighting) -> Tensor:
    """Return lambda, the weight of the first image's label, for any set of pasted patches.

    A region's mass is a sum over all patches with the weight 0 outside the region, so that the mass of a region
    without distortion is exactly zero.

    Args:
        maps: (B, h, w), non-negative.
        partner_maps: (B, h, w), those of the partners.
        pasted: (B, h, w) or (1, h, w), the pixels of each patch that come from the partner.
        kept: Of the same shape, the pixels that do not.
        weighting: ``"mass"``, ``"retained"`` or ``"area"``, see :class:`~dsmix_aug.DSMix`.

    Returns:
        (B,) float64.

    Raises:
        ValueError: If ``weighting`` is unknown.

    Example:
        >>> import torch
        >>> from dsmix_aug import functional
        >>> image, partner = torch.tensor([[[3.0, 3.0]]]), torch.tensor([[[1.0, 1.0]]])
        >>> pasted = torch.tensor([[[0, 256]]])
        >>> functional.mixing_weight(image, partner, pasted, 256 - pasted, "mass").tolist()
        [0.75]
    """
    check_choice("weighting", weighting, WEIGHTINGS)
    pixels = torch.stack([kept, pasted]).to(torch.float64)
    kept_pixels, pasted_pixels = pixels.sum((2, 3))
    own, partners = (maps * pixels).sum((2, 3)), (partner_maps * pixels).sum((2, 3))  # float64, as the pixels are
    kept_area = kept_pixels / (kept_pixels + pasted_pixels)
    lam = WEIGHTINGS[weighting](Regions(own[0], own[1], partners[1], partners[0], kept_area))
    return lam.expand(len(maps))


def mix_labels(labels: Tensor, partner_labels: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam * labels + (1 - lam) * partner_labels``.

    Args:
        labels: (B, K) soft labels or (B,) scores, floating point.
        partner_labels: Those of the partners, of the same shape.
        lam: (B,), the weights of ``labels``.

    Returns:
        A tensor like ``labels``, computed in float32 at least.

    Example:
        >>> import torch
        >>> from dsmix_aug import functional
        >>> functional.mix_labels(torch.tensor([4.0]), torch.tensor([2.0]), torch.tensor([0.75])).tolist()
        [3.5]
    """
    work = torch.float64 if labels.dtype == torch.float64 else torch.float32
    weight = lam.to(work).view(-1, *[1] * (labels.ndim - 1))
    return torch.lerp(partner_labels.to(work), labels.to(work), weight).to(labels.dtype)
