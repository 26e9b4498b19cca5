"""The arithmetic of DSMix as pure functions on tensors, which ``torch.compile`` turns into one graph."""

from dsmix_aug.mixing.functional import dsmix, mean_patch_error, mix_labels, mixing_weight

__all__ = ["dsmix", "mean_patch_error", "mix_labels", "mixing_weight"]
