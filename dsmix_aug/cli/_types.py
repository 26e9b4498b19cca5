"""The types and levels that the command line names."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

from dsmix_aug.distortions import DistortionBank
from dsmix_aug.distortions._distortion import REGISTRY


def make_bank(types: Sequence[str] | None) -> DistortionBank:
    """Return a bank of the types, by default and for ``all`` the 25 of KADID-10k.

    Raises:
        ValueError: If a type is unknown; says which was probably meant.
    """
    names = list(dict.fromkeys(name for given in types or ["all"] for name in given.split(",")))
    if "all" in names:
        return DistortionBank()
    for name in names:
        if name not in REGISTRY:
            close = difflib.get_close_matches(name.lower().replace("-", "_"), REGISTRY, n=1, cutoff=0.5)
            meant = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"--type: {name!r} is unknown; {meant}known are all, {', '.join(REGISTRY)}")
    return DistortionBank(names)


def check_levels(levels: Sequence[int] | None, bank: DistortionBank) -> list[int]:
    """Return the levels, by default all that every type of the bank has.

    Raises:
        ValueError: If one does not exist.
    """
    highest = min(len(distortion.values) for distortion in bank.values())
    wrong = [level for level in levels or () if not 1 <= level <= highest]
    if wrong:
        raise ValueError(f"--level: should be between 1 and {highest}, got {wrong[0]}")
    return sorted(set(levels)) if levels else list(range(1, highest + 1))


def opinion(bank: DistortionBank, type: str, level: int) -> str:
    """Return the mean opinion of a type at a level, 1 bad to 5 excellent, as text; empty where nobody was asked."""
    scores = getattr(bank, "opinion_scores", None)
    if scores is None:
        return ""
    score = float(scores[bank.encode(type, level)])
    return "" if math.isnan(score) else f"{score:.2f}"
