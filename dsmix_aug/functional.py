"""The arithmetic of DSMix as pure functions; see :mod:`dsmix_aug.mixing.functional`."""

from dsmix_aug.mixing.functional import dsmix, mean_patch_error, mix_labels, mixing_weight

__all__ = ["dsmix", "mean_patch_error", "mix_labels", "mixing_weight"]
