"""The boxes and partners that DSMix draws, as plain host numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: x1, y1, x2, y2 in px (or patches, for maps), as torchvision's CutMix and ``BoundingBoxFormat.XYXY``.
Box = tuple[int, int, int, int]

#: What is drawn where nothing is cut.
NO_BOX: Box = (0, 0, 0, 0)


def draw_boxes(
    count: int, size: tuple[int, int], alphas: Tensor, p: float, patch_size: int, generator: torch.Generator | None
) -> list[Box]:
    """Draw boxes as in CutMix with their edges snapped to the patch grid, each with probability ``p``, else none.

    A single box comes from the same draws as that of torchvision's CutMix: equal seeds give equal boxes, but for the
    snapping.

    Args:
        count: Number of boxes.
        size: Height and width of the image in px.
        alphas: (1, 2) float32 on the CPU, the parameters of the Beta distribution of lambda; the box has about
            1 - lambda of the area. A tensor made once: with cold caches each call of PyTorch costs what a hundred
            steps of Python do.
        p: Probability of each box.
        patch_size: Side of a patch in px.
        generator: A CPU generator, or None for torch's global one.
    """
    height, width = size
    # A Beta distribution as torch.distributions draws it, which takes no generator.
    shares = torch._sample_dirichlet(alphas.expand(count, 2), generator).tolist()
    x = torch.randint(width, (count,), generator=generator).tolist()
    y = torch.randint(height, (count,), generator=generator).tolist()
    cut = (torch.rand(count, generator=generator) < p).tolist() if p < 1 else [True] * count
    if height <= patch_size and width <= patch_size:
        return [NO_BOX] * count
    return [
        _snapped_box(lam, own_x, own_y, size, patch_size) if is_cut else NO_BOX
        for (lam, _), own_x, own_y, is_cut in zip(shares, x, y, cut, strict=True)
    ]


def _snapped_box(lam: float, x: int, y: int, size: tuple[int, int], patch_size: int) -> Box:
    height, width = size
    half = 0.5 * math.sqrt(1.0 - lam)
    x1, x2 = _snapped_edges(x, int(half * width), width, patch_size)
    y1, y2 = _snapped_edges(y, int(half * height), height, patch_size)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else NO_BOX


def _snapped_edges(center: int, half: int, side: int, patch_size: int) -> tuple[int, int]:
    first, last = max(center - half, 0), min(center + half, side)
    return min(round(first / patch_size) * patch_size, side), min(round(last / patch_size) * patch_size, side)


def draw_derangement(batch_size: int, generator: torch.Generator | None) -> list[int]:
    """Draw a permutation that leaves nobody in place, uniformly; a single sample meets itself."""
    while True:  # one permutation in e is one
        partner: list[int] = torch.randperm(batch_size, generator=generator).tolist()
        if batch_size < 2 or all(i != j for i, j in enumerate(partner)):
            return partner


def roll(batch_size: int) -> list[int]:
    """Return the partners that torchvision's CutMix takes: sample i meets sample i - 1."""
    return [(i - 1) % batch_size for i in range(batch_size)]


def is_roll(partner: Sequence[int]) -> bool:
    """Return whether partners are those of :func:`roll`, which slices and ``Tensor.roll`` reach."""
    return partner == roll(len(partner))


def kept_area(box: Box, size: tuple[int, int]) -> float:
    """Return the share of an image of ``size`` (height, width) that lies outside a box."""
    x1, y1, x2, y2 = box
    return 1 - (x2 - x1) * (y2 - y1) / (size[0] * size[1])


def to_patches(boxes: Sequence[Box], patch_size: int) -> list[Box]:
    """Turn snapped boxes in px into boxes in patches."""
    return [
        (x1 // patch_size, y1 // patch_size, -(-x2 // patch_size), -(-y2 // patch_size)) for x1, y1, x2, y2 in boxes
    ]
