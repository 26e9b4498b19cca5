"""Random fields as large as an image, made from one seed per sample on the images' device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def draw_seed(generator: torch.Generator | None) -> int:
    """Draw the seed of one sample's field from ``generator``, or from torch's global one."""
    return int(torch.randint(2**63 - 1, (), generator=generator))


def normal_fields(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return standard normal fields, the n-th of them a function of the n-th seed alone.

    Args:
        seeds: One seed per sample, as :func:`draw_seed` makes them.
        shape: Shape of one sample's field.
        like: Gives dtype (float32 or float64) and device. Another dtype or device gives another field.

    Returns:
        (len(seeds), *shape).
    """
    return _fill_fields(Tensor.normal_, seeds, shape, like)


def uniform_fields(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return fields uniform on [0, 1); arguments and result as :func:`normal_fields`."""
    return _fill_fields(Tensor.uniform_, seeds, shape, like)


def _fill_fields(fill: Callable[..., Tensor], seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    fields = like.new_empty((len(seeds), *shape))
    generator = torch.Generator(like.device)
    for field, seed in zip(fields, seeds, strict=True):
        fill(field, generator=generator.manual_seed(seed))
    return fields
