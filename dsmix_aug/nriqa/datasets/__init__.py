"""The datasets, one small loader each, and the one registry of them.

The registry is imported when it is first used: to read photos, as scoring does, takes none of what tables of scores do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsmix_aug.nriqa.base.extras import require

if TYPE_CHECKING:
    from dsmix_aug.nriqa.datasets.registry import LOADERS, ScoredSet, check_dataset_name, load_photos, load_scored_set

__all__ = ["LOADERS", "ScoredSet", "check_dataset_name", "load_photos", "load_scored_set"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("pipeline", "pandas")
    from dsmix_aug.nriqa.datasets import registry

    return getattr(registry, name)
