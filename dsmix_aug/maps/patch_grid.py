"""The grid of patches that a sensitivity map lives on; its last row and column may be partial."""

from __future__ import annotations

import torch
from torch import Tensor

from dsmix_aug._tensors import to_device


def grid_size(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Return the number of patch rows and columns of an image of ``size`` (height, width)."""
    return -(-size[0] // patch_size), -(-size[1] // patch_size)


def patch_areas(size: tuple[int, int], patch_size: int, device: torch.device) -> Tensor:
    """Return the number of pixels of each patch, (h, w) int64."""
    heights, widths = ([min(patch_size, side - start) for start in range(0, side, patch_size)] for side in size)
    return to_device(heights, device).unsqueeze(1) * to_device(widths, device)


def pixels_per_patch(boxes: Tensor, size: tuple[int, int], patch_size: int) -> Tensor:
    """Count the pixels that each patch has inside each box.

    Args:
        boxes: (N, 4) integers, rows x1, y1, x2, y2 in px.
        size: Height and width of the image in px.
        patch_size: Side of a patch in px.

    Returns:
        (N, h, w) int64 on the device of ``boxes``.
    """
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(1)
    patch_size = min(patch_size, max(size))  # one patch that covers the image is enough, however large it is
    heights = torch.arange(0, size[0] + patch_size, patch_size, device=boxes.device).clamp(y1, y2).diff()
    widths = torch.arange(0, size[1] + patch_size, patch_size, device=boxes.device).clamp(x1, x2).diff()
    return heights.unsqueeze(2) * widths.unsqueeze(1)


def box_mask(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which pixels lie in each box, (N, H, W) bool; arguments as for :func:`pixels_per_patch`."""
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(1)
    rows = torch.arange(size[0], device=boxes.device)
    columns = torch.arange(size[1], device=boxes.device)
    return ((rows >= y1) & (rows < y2)).unsqueeze(2) & ((columns >= x1) & (columns < x2)).unsqueeze(1)
