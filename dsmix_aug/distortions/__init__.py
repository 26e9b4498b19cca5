"""The distortion bank: one file per family, one class per distortion, collected by :class:`DistortionBank`."""

from dsmix_aug.distortions import blur, brightness, color, compression, noise, sharpness, spatial  # noqa: F401  registers
from dsmix_aug.distortions._distortion import Distortion, per_sample, register
from dsmix_aug.distortions._params import DistortionParams
from dsmix_aug.distortions.bank import DistortionBank
from dsmix_aug.distortions.random_distortion import RandomDistortion
from dsmix_aug.distortions.type_lists import BEYOND, KADID_10K

__all__ = [
    "BEYOND",
    "KADID_10K",
    "Distortion",
    "DistortionBank",
    "DistortionParams",
    "RandomDistortion",
    "per_sample",
    "register",
]
