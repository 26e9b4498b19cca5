"""How a batch is cut up so that long chains of operations stay in the processor's cache."""

from __future__ import annotations

from torch import Tensor


def cache_sized_parts(images: Tensor) -> list[slice]:
    """Split a CPU batch into single samples, whose temporaries fit into the cache; on other devices it stays whole."""
    step = 1 if images.device.type == "cpu" else len(images)
    return [slice(start, start + step) for start in range(0, len(images), step)]
