"""HaarPSI, a full-reference metric that follows people's opinions closely and takes milliseconds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug.nriqa.datasets.photos import to_float

#: The constants of the authors' code, for pixels in 0..255: where the similarity saturates (the square of the paper's
#: C), and how steep the sigmoid is.
SATURATION, STEEPNESS = 30.0, 4.2
#: RGB -> YIQ.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
SMALLEST_SIDE = 16


def haarpsi(images: Tensor, references: Tensor) -> Tensor:
    """Return how alike images and their references look: (B,) float32, 1 for equal ones.

    The first two scales of a Haar wavelet are compared, at half the size, where the third one says that there is
    something to see; so are the two colour channels.

    Args:
        images: (B, 3, H, W) uint8, at least 16 px high and wide.
        references: The same without distortion.

    Raises:
        ValueError: If the shapes differ or are not as above.

    Source: Reisenhofer, Bosse, Kutyniok & Wiegand, "A Haar wavelet-based perceptual similarity index for image quality
    assessment", Signal Processing: Image Communication 61, 2018.

    Example:
        >>> import torch
        >>> from dsmix_aug.nriqa.datasets.haarpsi import haarpsi
        >>> photos = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
        >>> haarpsi(photos, photos).round(decimals=3)
        tensor([1., 1.])
    """
    if images.shape != references.shape or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            "images and references should be (B, 3, H, W), of one shape, got "
            f"{tuple(images.shape)} and {tuple(references.shape)}"
        )
    if min(images.shape[-2:]) < SMALLEST_SIDE:
        raise ValueError(f"images should be at least {SMALLEST_SIDE} px high and wide, got {tuple(images.shape)}")
    ours, theirs = (_halve(_to_yiq(pixels)) for pixels in (images, references))
    first, second = (_haar_coefficients(channels[:, :1]) for channels in (ours, theirs))
    weights = torch.maximum(first[:, 2], second[:, 2])
    by_direction = _similarity(first[:, :2], second[:, :2]).mean(1)
    colour = _similarity(_smooth(ours[:, 1:]), _smooth(theirs[:, 1:])).mean(1, keepdim=True)
    similarity = torch.cat([by_direction, colour], 1)
    weights = torch.cat([weights, weights.mean(1, keepdim=True)], 1)
    smallest = torch.finfo(weights.dtype).eps
    mean = ((similarity * STEEPNESS).sigmoid() * weights).sum((1, 2, 3)) + smallest
    mean /= weights.sum((1, 2, 3)) + smallest
    return (mean.logit(smallest) / STEEPNESS).square()


def _to_yiq(pixels: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", torch.tensor(YIQ, device=pixels.device), to_float(pixels) * 255)


def _halve(channels: Tensor) -> Tensor:
    odd = max(length % 2 for length in channels.shape[-2:])
    return F.avg_pool2d(F.pad(channels, (0, odd, 0, odd)), 2)


def _haar_coefficients(luma: Tensor) -> Tensor:
    """Return the absolute coefficients of three scales in two directions: (B, 3, 2, H, W)."""
    scales = []
    for side in (2, 4, 8):
        kernel = torch.full((side, side), 1 / side, device=luma.device)
        kernel[side // 2 :] *= -1
        before, after = side // 2 - 1, side // 2
        padded = F.pad(luma, (before, after, before, after))
        scales.append(F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).abs())
    return torch.stack(scales, 1)


def _smooth(channels: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(channels, (0, 1, 0, 1)), 2, stride=1).abs()


def _similarity(first: Tensor, second: Tensor) -> Tensor:
    return (2 * first * second + SATURATION) / (first.square() + second.square() + SATURATION)
