"""Seeds derived from the run's one seed by name, so that no part's draws depend on what ran before it."""

from __future__ import annotations

import hashlib

from dsmix_aug._generator import SeededGenerator


def derive_seed(*parts: object) -> int:
    """Return a seed below 2**63 that is a fixed function of ``parts``, e.g. ``(seed, "pretrain", step)``."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generator(*parts: object) -> SeededGenerator:
    """Return a CPU generator seeded with :func:`derive_seed`."""
    return SeededGenerator(derive_seed(*parts))
