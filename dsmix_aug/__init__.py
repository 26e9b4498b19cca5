"""DSMix for no-reference image quality assessment, as torchvision v2 transforms."""

from dsmix_aug import _old_paths  # noqa: F401  for pickles of release 0.1.0
from dsmix_aug._version import __version__
from dsmix_aug.distortions import DistortionBank, RandomDistortion
from dsmix_aug.maps.collate import collate_tv_tensors
from dsmix_aug.maps.estimator import DSMEstimator
from dsmix_aug.maps.sensitivity import sensitivity_map
from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap
from dsmix_aug.mixing.transform import DSMix

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
