"""DSMix for no-reference image quality assessment, as torchvision v2 transforms."""

from dsmix_aug._version import __version__
from dsmix_aug.distortions import DistortionBank, RandomDistortion
from dsmix_aug.estimator import DSMEstimator

__all__ = ["DSMEstimator", "DistortionBank", "RandomDistortion", "__version__"]
