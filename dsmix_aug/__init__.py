"""DSMix for no-reference image quality assessment, as torchvision v2 transforms."""

from dsmix_aug._version import __version__
from dsmix_aug.collate import collate_tv_tensors
from dsmix_aug.distortions import DistortionBank, RandomDistortion
from dsmix_aug.estimator import DSMEstimator
from dsmix_aug.mix import DSMix
from dsmix_aug.sensitivity import sensitivity_map
from dsmix_aug.tv_tensors import Reference, SensitivityMap

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
