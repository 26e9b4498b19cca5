"""Generators to draw from: one that can be made in a ``DataLoader`` worker, and what is refused there."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from dsmix_aug._checks import check_integer


class SeededGenerator(torch.Generator):
    """A CPU generator that belongs to the process that makes it, for ``generator=`` in a ``DataLoader`` worker.

    Copies of a generator that was made before the workers draw the same in all of them, and again in each epoch. In a
    worker, calls therefore accept only a generator of this class that was made there.

    Args:
        *seeds: One or more integers from 0, such as the seed of a run, the epoch and the number of the batch. With a
            single one it draws as ``torch.Generator().manual_seed(seed)``.

    Raises:
        TypeError: If a seed is not an integer, or there is none.
        ValueError: If a seed is negative, or a single one is 2**64 or more.

    Source: several integers are hashed by :class:`numpy.random.SeedSequence`.

    Example:
        >>> from dsmix_aug import DistortionBank, SeededGenerator
        >>> params = [DistortionBank().make_params(torch.rand(4, 3, 64, 64), generator=SeededGenerator(7, epoch, 0))
        ...           for epoch in (0, 0, 1)]
        >>> params[0] == params[1], params[0] == params[2]
        (True, False)
    """

    def __new__(cls, *seeds: int) -> SeededGenerator:
        """Make a generator on the CPU; torch's would take the first seed for its device."""
        return super().__new__(cls)

    def __init__(self, *seeds: int) -> None:
        super().__init__()
        if not seeds:
            raise TypeError("seeds should be one or more integers, got none")
        checked = [check_integer("seeds", seed, minimum=0) for seed in seeds]
        if len(checked) == 1 and checked[0] >= 2**64:
            raise ValueError(f"seeds: a single one should be below 2**64, got {checked[0]}")
        self.process = os.getpid()
        self.manual_seed(checked[0] if len(checked) == 1 else _hash(checked))


def _hash(seeds: list[int]) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0])


def check_generator(generator: Any) -> None:
    """Raise an error unless parameters can be drawn from a generator, in a worker without repeating another's.

    Raises:
        TypeError: If it is neither ``None`` nor a :class:`torch.Generator`.
        ValueError: If it is on another device than the CPU, or in a ``DataLoader`` worker may be a copy.
    """
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator should be a torch.Generator or None, got {type(generator).__name__}")
    if generator.device.type != "cpu":
        raise ValueError(f"generator should be on the CPU, where everything is drawn, got one on {generator.device}")
    if get_worker_info() is None or generator is torch.default_generator:
        return
    if not isinstance(generator, SeededGenerator) or generator.process != os.getpid():
        raise ValueError(
            "generator: one that was made before the workers draws the same in each of them and in every epoch; leave "
            "it out, as torch's own differs between workers, or make it there: dsmix_aug.SeededGenerator(seed), "
            "with torch.initial_seed() or the index of the sample for a seed"
        )
