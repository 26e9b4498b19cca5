"""Random draws of distortions: a few numbers on the host, or the seed of a random field as large as the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dsmix_aug.distortions._distortion import Distortion, Draws


class FieldDistortion(Distortion):
    """A distortion by random fields of the image's size, which are made on its device from one drawn seed."""

    one_at_a_time = True

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw the seed of one sample's fields."""
        return {"seed": draw_seed(generator)}


# Draws on the host name their dtype and device, so that torch's defaults for both do not change them.


def draw_seed(generator: torch.Generator | None) -> int:
    """Draw the seed of one sample's fields from ``generator``, or from torch's global one."""
    return int(torch.randint(2**63 - 1, (), generator=generator, dtype=torch.int64, device="cpu"))


def draw_uniforms(shape: tuple[int, ...], generator: torch.Generator | None) -> Any:
    """Draw numbers uniform on [0, 1) from ``generator``, or from torch's global one, as (nested) lists."""
    return torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu").tolist()


def normal_fields(seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return standard normal fields, the n-th of them a function of the n-th seed only.

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


def poisson_fields(seeds: Sequence[int], rates: Tensor) -> Tensor:
    """Return Poisson counts of mean ``rates`` (N, ...), the n-th field a function of the n-th seed and rates only."""
    counts = torch.empty_like(rates)
    generator = torch.Generator(rates.device)
    for field, rate, seed in zip(counts, rates, seeds, strict=True):
        field.copy_(torch.poisson(rate, generator=generator.manual_seed(seed)))
    return counts


def _fill_fields(fill: Callable[..., Tensor], seeds: Sequence[int], shape: tuple[int, ...], like: Tensor) -> Tensor:
    fields = like.new_empty((len(seeds), *shape))
    generator = torch.Generator(like.device)
    for field, seed in zip(fields, seeds, strict=True):
        fill(field, generator=generator.manual_seed(seed))
    return fields
