"""The grid of patches that a sensitivity map lives on; its last row and column may be partial."""

from __future__ import annotations

import torch
from torch import Tensor


def check_patch_size(patch_size: object) -> None:
    """Raise unless ``patch_size`` is a positive integer.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is not positive.
    """
    if not isinstance(patch_size, int) or isinstance(patch_size, bool):
        raise TypeError(f"patch_size should be an integer, got {patch_size!r}")
    if patch_size < 1:
        raise ValueError(f"patch_size should be at least 1, got {patch_size}")


def grid_size(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Return the number of patch rows and columns of an image of ``size`` (height, width)."""
    return -(-size[0] // patch_size), -(-size[1] // patch_size)


def pixels_per_patch(size: tuple[int, int], patch_size: int, device: torch.device) -> Tensor:
    """Return how many pixels each patch covers, int64 of shape ``grid_size(size, patch_size)``."""
    heights, widths = (
        (length - torch.arange(0, length, patch_size, device=device)).clamp_(max=patch_size) for length in size
    )
    return heights[:, None] * widths


def box_mask(boxes: Tensor, size: tuple[int, int], step: int = 1) -> Tensor:
    """Return which pixels lie in the boxes, or with ``step`` which patches of that side.

    Args:
        boxes: (N, 4) integers, rows x1, y1, x2, y2 in px. With ``step``, edges lie on its multiples or on the border.
        size: Height and width of the image in px.
        step: 1, or the patch size.

    Returns:
        (N, H, W) bool, or (N, ceil(H / step), ceil(W / step)).
    """
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(1)
    rows = torch.arange(0, size[0], step, device=boxes.device)
    columns = torch.arange(0, size[1], step, device=boxes.device)
    return ((rows >= y1) & (rows < y2)).unsqueeze(-1) & ((columns >= x1) & (columns < x2)).unsqueeze(-2)
