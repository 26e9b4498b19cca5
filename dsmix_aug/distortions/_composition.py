"""Several distortions on one image: how many, of which families, in which order, at which levels."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from dsmix_aug.distortions import _checks
from dsmix_aug.distortions._fields import draw_uniforms
from dsmix_aug.distortions._params import DistortionParams

if TYPE_CHECKING:
    from dsmix_aug.distortions.bank import DistortionBank


class Composition:
    """Draws the distortions of one sample; see :meth:`~dsmix_aug.DistortionBank.make_composed_params`.

    Args:
        bank: The distortions and levels to draw from.
        num_distortions: How many, or the least and the most of them.
        level_probabilities: How often each level is drawn, relative to each other; None: equally.

    Raises:
        TypeError: If a setting is of another type.
        ValueError: If a setting is out of its range.
    """

    def __init__(
        self,
        bank: DistortionBank,
        num_distortions: int | tuple[int, int],
        level_probabilities: Sequence[float] | None,
    ) -> None:
        self.bank = bank
        weights = _check_level_probabilities(level_probabilities, bank.levels)
        self.level_shares: dict[str, list[float]] = {}  # of each level and those before it; the last one is 1
        for name, distortion in bank.items():
            moving = [
                0.0 if level in distortion.identity_levels else weight
                for level, weight in zip(bank.levels, weights, strict=True)
            ]
            if any(moving):
                sums = list(accumulate(moving))
                self.level_shares[name] = [share / sums[-1] for share in sums]
        drawable = ([name for name in names if name in self.level_shares] for names in bank.families.values())
        self.families = [names for names in drawable if names]
        self.low, self.high = _check_num_distortions(num_distortions, len(self.families))

    def draw(self, generator: torch.Generator | None) -> tuple[DistortionParams, ...]:
        """Draw the distortions of one sample in the order of their application."""
        count = _randint(self.low, self.high + 1, generator)
        order = torch.randperm(len(self.families), generator=generator, dtype=torch.int64, device="cpu")
        return tuple(self._draw_one(self.families[family], generator) for family in order[:count].tolist())

    def _draw_one(self, family: Sequence[str], generator: torch.Generator | None) -> DistortionParams:
        name = family[_randint(0, len(family), generator)]
        # Not torch.multinomial, whose draws differ between versions and builds of torch.
        (uniform,) = draw_uniforms((1,), generator)
        level = self.bank.levels[bisect_right(self.level_shares[name], uniform)]
        return DistortionParams(name, level, self.bank[name].draw(generator))


def _randint(low: int, high: int, generator: torch.Generator | None) -> int:
    return int(torch.randint(low, high, (), generator=generator, dtype=torch.int64, device="cpu"))


def _check_num_distortions(given: object, num_families: int) -> tuple[int, int]:
    limits = given if isinstance(given, (tuple, list)) else (given, given)
    if len(limits) != 2 or not all(_checks.is_integer(limit) for limit in limits):
        raise TypeError(f"num_distortions should be an integer or (low, high), got {given!r}")
    low, high = limits
    if not 0 <= low <= high <= num_families:
        raise ValueError(
            f"num_distortions should be 0 <= low <= high <= {num_families}, the number of families to draw from, got "
            f"{given!r}"
        )
    return int(low), int(high)


def _check_level_probabilities(given: Sequence[float] | None, levels: Sequence[int]) -> list[float]:
    if given is None:
        return [1.0] * len(levels)
    try:
        weights = [float(weight) for weight in given]
    except (TypeError, ValueError):
        raise TypeError(f"level_probabilities should be a sequence of numbers, got {given!r}") from None
    if len(weights) != len(levels):
        raise ValueError(f"level_probabilities should have one entry for each of levels {tuple(levels)}, got {given}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"level_probabilities should be finite and not negative, got {given}")
    return weights
