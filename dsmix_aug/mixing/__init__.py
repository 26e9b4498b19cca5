"""DSMix: the transform, and the boxes, labels and arithmetic inside it."""

from dsmix_aug.mixing.boxes import BoxMode, PartnerMode
from dsmix_aug.mixing.functional import WEIGHTINGS, Weighting

__all__ = ["WEIGHTINGS", "BoxMode", "PartnerMode", "Weighting"]
