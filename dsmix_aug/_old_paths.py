"""Module names of release 0.1.0, so that its pickles still load.

A pickle names the module of each class. Imported once, by the package itself, this makes the old names known.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _MovedModule(ModuleType):
    """A module under its old name: it has the attributes of the new one, which is imported on the first access."""

    def __init__(self, old_name: str, new_name: str) -> None:
        super().__init__(old_name)
        self.new_name = new_name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what tools ask every loaded module for
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(self.new_name), name)


for _old, _new in {
    "dsmix_aug._labels": "dsmix_aug.mixing.labels",
    "dsmix_aug.collate": "dsmix_aug.maps.collate",
    "dsmix_aug.estimator": "dsmix_aug.maps.estimator",
    "dsmix_aug.mix": "dsmix_aug.mixing.transform",
    "dsmix_aug.sensitivity": "dsmix_aug.maps.sensitivity",
    "dsmix_aug.tv_tensors": "dsmix_aug.maps.tv_tensors",
}.items():
    sys.modules[_old] = _MovedModule(_old, _new)
