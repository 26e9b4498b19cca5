"""DSMix for no-reference image quality assessment, as torchvision v2 transforms."""

from dsmix_aug._version import __version__
from dsmix_aug.distortions import DistortionBank, RandomDistortion

__all__ = ["DistortionBank", "RandomDistortion", "__version__"]
