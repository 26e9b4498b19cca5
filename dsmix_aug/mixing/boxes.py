"""The boxes and partners that DSMix draws, as plain host numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from dsmix_aug._tensors import to_device

#: x1, y1, x2, y2 in px (or patches, for maps), as torchvision's CutMix and ``BoundingBoxFormat.XYXY``.
Box = tuple[int, int, int, int]

#: One box for the whole batch, or one per sample.
BoxMode = Literal["batch", "sample"]

#: Sample i - 1, or any other sample.
PartnerMode = Literal["roll", "random"]

#: The empty box: nothing is cut.
NO_BOX: Box = (0, 0, 0, 0)


def draw_boxes(
    count: int, size: tuple[int, int], alpha: float, p: float, patch_size: int, generator: torch.Generator | None
) -> list[Box]:
    """Draw boxes as in CutMix with their edges snapped to the patch grid, each with probability ``p``, else none.

    A single box comes from the same draws as that of torchvision's CutMix: equal seeds give equal boxes, except for
    the snapping. Draws depend on the seed only, not on torch's default dtype or device.

    Args:
        count: Number of boxes.
        size: Height and width of the image in px.
        alpha: Both parameters of the Beta distribution of lambda; the box has about 1 - lambda of the area.
        p: Probability of each box.
        patch_size: Side of a patch in px.
        generator: A CPU generator, or None for torch's global one.
    """
    height, width = size
    shares = draw_lambda(count, alpha, generator)
    x = torch.randint(width, (count,), generator=generator, device="cpu").tolist()
    y = torch.randint(height, (count,), generator=generator, device="cpu").tolist()
    cut = [True] * count
    if p < 1:
        cut = (torch.rand(count, generator=generator, dtype=torch.float32, device="cpu") < p).tolist()
    if height <= patch_size and width <= patch_size:
        return [NO_BOX] * count
    return [
        _snapped_box(lam, own_x, own_y, size, patch_size) if is_cut else NO_BOX
        for lam, own_x, own_y, is_cut in zip(shares, x, y, cut, strict=True)
    ]


def draw_lambda(count: int, alpha: float, generator: torch.Generator | None) -> list[float]:
    """Draw from Beta(alpha, alpha) as ``torch.distributions.Beta``, which takes no generator, draws.

    Below an alpha of 0.005 the sampler's float32 underflows, and lambda is 0.5 too often.
    """
    alphas = torch.full((1, 2), alpha, dtype=torch.float32, device="cpu").expand(count, 2)
    # No public sampler takes a generator; torch.distributions calls this one too.
    shares: list[list[float]] = torch._sample_dirichlet(alphas, generator).tolist()  # noqa: TID251
    return [lam for lam, _ in shares]


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
    """Draw a permutation without fixed points, uniformly; a single sample is its own partner."""
    while True:  # a random permutation is a derangement with probability about 1/e
        partner: list[int] = torch.randperm(batch_size, generator=generator, device="cpu").tolist()
        if batch_size < 2 or all(i != j for i, j in enumerate(partner)):
            return partner


def roll(batch_size: int) -> list[int]:
    """Return the partners that torchvision's CutMix takes: sample i - 1 for sample i."""
    return [(i - 1) % batch_size for i in range(batch_size)]


def is_roll(partner: Sequence[int]) -> bool:
    """Return whether partners are those of :func:`roll`, which slices and ``Tensor.roll`` can take."""
    return partner == roll(len(partner))


def take_partners(inputs: Tensor, partner: Sequence[int]) -> Tensor:
    """Return each sample's partner, on the inputs' device."""
    return inputs.roll(1, 0) if is_roll(partner) else inputs.index_select(0, to_device(partner, inputs.device))


def kept_area(box: Box, size: tuple[int, int]) -> float:
    """Return the share of an image of ``size`` (height, width) that lies outside a box."""
    x1, y1, x2, y2 = box
    return 1 - (x2 - x1) * (y2 - y1) / (size[0] * size[1])


def to_patches(boxes: Sequence[Box], patch_size: int) -> list[Box]:
    """Turn snapped boxes in px into boxes in patches."""
    return [
        (x1 // patch_size, y1 // patch_size, -(-x2 // patch_size), -(-y2 // patch_size)) for x1, y1, x2, y2 in boxes
    ]


def to_corners(boxes: Sequence[Box], device: torch.device) -> Tensor:
    """Return boxes as (N, 4) int64 on ``device``."""
    return to_device(boxes, device, torch.int64).reshape(len(boxes), 4)
