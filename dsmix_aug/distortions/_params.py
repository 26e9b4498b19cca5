"""The parameters of one sample's distortions: drawn once, applied any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsmix_aug.distortions._distortion import Draws


class DistortionParams(NamedTuple):
    """The parameters of one distortion: type, level (``"pristine"``, 0 if undistorted) and its own random numbers."""

    type: str
    level: int
    draws: Draws


PRISTINE = DistortionParams("pristine", 0, {})


def steps_of(entry: DistortionParams | Sequence[DistortionParams]) -> tuple[DistortionParams, ...]:
    """Return the distortions of one sample in their order; none if it is pristine.

    Raises:
        TypeError: If ``entry`` is neither DistortionParams nor a sequence of them.
    """
    steps = (entry,) if isinstance(entry, DistortionParams) else entry
    if not isinstance(steps, Sequence) or not all(isinstance(step, DistortionParams) for step in steps):
        raise TypeError(f"params should hold DistortionParams or tuples of them, got {entry!r}")
    return tuple(step for step in steps if step != PRISTINE)
