"""DSMix for no-reference image quality assessment, as torchvision v2 transforms.

Importing the package is cheap: a public name, and with it torch, is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsmix_aug import _old_paths  # noqa: F401  for pickles of release 0.1.0
from dsmix_aug._version import __version__

if TYPE_CHECKING:  # what type checkers and editors read; at run time __getattr__ does the same
    from dsmix_aug import distortions as distortions
    from dsmix_aug import functional as functional
    from dsmix_aug._generator import SeededGenerator
    from dsmix_aug.distortions import DistortionBank, RandomDistortion
    from dsmix_aug.maps.collate import collate_tv_tensors
    from dsmix_aug.maps.estimator import DSMEstimator
    from dsmix_aug.maps.sensitivity import sensitivity_map
    from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap
    from dsmix_aug.mixing.transform import DSMix
    from dsmix_aug.nriqa.quality_model import QualityModel as QualityModel

#: The module of each public name.
_MODULES = {
    "DSMEstimator": "dsmix_aug.maps.estimator",
    "DSMix": "dsmix_aug.mixing.transform",
    "DistortionBank": "dsmix_aug.distortions",
    "QualityModel": "dsmix_aug.nriqa.quality_model",
    "RandomDistortion": "dsmix_aug.distortions",
    "Reference": "dsmix_aug.maps.tv_tensors",
    "SeededGenerator": "dsmix_aug._generator",
    "SensitivityMap": "dsmix_aug.maps.tv_tensors",
    "collate_tv_tensors": "dsmix_aug.maps.collate",
    "sensitivity_map": "dsmix_aug.maps.sensitivity",
}
#: Public subpackages and modules that are there after ``import dsmix_aug``.
_SUBMODULES = ("distortions", "functional")

# QualityModel is not among them: it needs the packages of an extra, which `import *` should not ask for.
__all__ = [
    "DSMEstimator",
    "DSMix",
    "DistortionBank",
    "RandomDistortion",
    "Reference",
    "SeededGenerator",
    "SensitivityMap",
    "__version__",
    "collate_tv_tensors",
    "sensitivity_map",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # found at once from now on, and by torch.compile
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
