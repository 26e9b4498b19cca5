"""DSMix for no-reference image quality assessment, as torchvision v2 transforms."""

from typing import TYPE_CHECKING, Any

from dsmix_aug._version import __version__
from dsmix_aug.distortions import DistortionBank, RandomDistortion
from dsmix_aug.maps.collate import collate_tv_tensors
from dsmix_aug.maps.estimator import DSMEstimator
from dsmix_aug.maps.sensitivity import sensitivity_map
from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap
from dsmix_aug.mixing.transform import DSMix

if TYPE_CHECKING:
    from dsmix_aug.nriqa.quality_model import QualityModel as QualityModel

# QualityModel is not among them: it needs the packages of an extra, which `import *` should not ask for.
__all__ = [
    "DSMEstimator",
    "DSMix",
    "DistortionBank",
    "RandomDistortion",
    "Reference",
    "SensitivityMap",
    "__version__",
    "collate_tv_tensors",
    "sensitivity_map",
]


def __getattr__(name: str) -> Any:
    """Import :class:`QualityModel` when it is first asked for; without its extra, say which packages are missing."""
    if name == "QualityModel":
        from dsmix_aug.nriqa.quality_model import QualityModel

        return QualityModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
