"""The distortion bank: one file per family, one class per distortion, collected by :class:`DistortionBank`."""

from dsmix_aug.distortions import blur, brightness, color, compression, noise, sharpness, spatial  # noqa: F401  registers
from dsmix_aug.distortions._distortion import Distortion, register
from dsmix_aug.distortions.bank import KADID_10K, DistortionBank, DistortionParams
from dsmix_aug.distortions.random_distortion import RandomDistortion

__all__ = ["KADID_10K", "Distortion", "DistortionBank", "DistortionParams", "RandomDistortion", "register"]
