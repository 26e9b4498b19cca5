"""Resizing with antialiasing; apart from other helpers, so that scoring photos need not import torchvision."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def interpolate(images: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """Return images (N, C, H, W) at another size, by torch's ``interpolate`` with antialiasing.

    Where the result is 1 px wide and less high than the images, torch (2.14) repeats rows of floats; a result that is
    1 px high is right.
    """
    if size[1] == 1:
        return F.interpolate(images.mT.contiguous(), [size[1], size[0]], mode=mode, antialias=True).mT
    return F.interpolate(images, list(size), mode=mode, antialias=True)
