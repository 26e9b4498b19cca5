"""JPEG on tensors: the effect of libjpeg on pixels, batched and on any device, without the lossless entropy coding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug._tensors import to_device

# Tables K.1 and K.2 of the JPEG standard: steps of the quantizer at quality 50, for brightness and for colour.
LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# The 8 basis functions of the DCT in libjpeg's fixed point arithmetic, 8192 √8 times the orthonormal ones to within 1.2
# (its fast algorithm adds up rounded constants). Their right half mirrors the left one, with the sign of the parity.
DCT_HALVES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)
DCT = [[*half, *(value * (-1) ** k for value in reversed(half))] for k, half in enumerate(DCT_HALVES)]


def compress_jpeg(images: Tensor, qualities: Sequence[float]) -> Tensor:
    """Return images as they come back from a baseline JPEG file with 4:2:0 chroma subsampling.

    Every rounding of libjpeg is followed, those inside its fixed point arithmetic too, so that the result is the
    codec's, value for value.

    Args:
        images: (N, 1 or 3, H, W) in [0, 1], float32 or float64; rounded to 8 bits first.
        qualities: N qualities from 1 to 100.

    Returns:
        (N, C, H, W), multiples of 1 / 255, a new tensor.

    Source: ITU-T T.81 (the standard), T.871 (JFIF: full-range BT.601 colour) and libjpeg's documented scaling of its
    tables, rounding and "fancy" chroma upsampling.

    Example:
        >>> import torch
        >>> compress_jpeg(torch.rand(2, 3, 20, 30), [43, 4]).shape
        torch.Size([2, 3, 20, 30])
    """
    height, width = images.shape[-2:]
    # In double precision, which neither autocast nor a reduced float32 precision of matmuls touches.
    pixels = images.double().mul(255).add_(0.5).floor_()
    tables = [[quantization_table(base, quality) for quality in qualities] for base in (LUMA_TABLE, CHROMA_TABLE)]
    luma_steps, chroma_steps = to_device(tables, images.device, torch.float64).unbind(0)
    if images.shape[1] == 1:
        decoded = _code_planes(pixels, luma_steps)
    else:
        luma, chroma = _rgb_to_ycc(pixels)
        luma = _code_planes(luma, luma_steps)
        chroma = _code_planes(_halve(chroma), chroma_steps)[..., : (height + 1) // 2, : (width + 1) // 2]
        decoded = _ycc_to_rgb(luma, _double(chroma)[..., :height, :width])
    return decoded.div_(255).to(images.dtype)


def quantization_table(base: Sequence[Sequence[int]], quality: float) -> list[list[int]]:
    """Return the steps of a table at a quality from 1 to 100, by libjpeg's rule.

    Example:
        >>> quantization_table(LUMA_TABLE, 43)[0]
        [19, 13, 12, 19, 28, 46, 59, 71]
    """
    scale = int(5000 / quality) if quality < 50 else int(200 - 2 * quality)
    return [[min(max((step * scale + 50) // 100, 1), 255) for step in row] for row in base]


def _code_planes(planes: Tensor, steps: Tensor) -> Tensor:
    """Quantize the DCT of the 8x8 blocks of (N, C, H, W) by N tables (8, 8); values are 0 to 255 before and after."""
    count, channels, height, width = planes.shape
    padded = F.pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate") - 128
    rows, columns = padded.shape[-2] // 8, padded.shape[-1] // 8
    blocks = padded.view(count, channels, rows, 8, columns, 8).transpose(3, 4)
    dct = to_device(DCT, planes.device, torch.float64)
    steps = steps.view(count, 1, 1, 1, 8, 8)
    coefficients = _shift(dct @ _shift(blocks @ dct.mT, 11), 15)  # 8 times those of the orthonormal DCT
    quantized = coefficients.abs().add_(4 * steps).div_(8 * steps).floor_().copysign_(coefficients).mul_(steps)
    decoded = _shift(_shift(dct.mT @ quantized, 11) @ dct, 18).add_(128).clamp_(0, 255)
    return decoded.transpose(3, 4).reshape(padded.shape)[..., :height, :width]


def _shift(values: Tensor, bits: int) -> Tensor:
    """Drop fractional bits of whole numbers, in place; halves round up."""
    return values.add_(2 ** (bits - 1)).div_(2**bits).floor_()


def _fix(weight: float) -> float:
    """Round a weight to the 16 fractional bits that libjpeg has for it."""
    return round(weight * 65536) / 65536


def _rgb_to_ycc(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return Y (N, 1, H, W) and Cb, Cr (N, 2, H, W), rounded; halves round up in Y and down in Cb and Cr."""
    red, green, blue = pixels.split(1, 1)
    luma = _fix(0.299) * red + _fix(0.587) * green + _fix(0.114) * blue
    to_blue = _fix(-0.16874) * red + _fix(-0.33126) * green + 0.5 * blue
    to_red = 0.5 * red + _fix(-0.41869) * green + _fix(-0.08131) * blue
    chroma = torch.cat((to_blue, to_red), 1).add_(128)
    return luma.add_(0.5).floor_(), chroma.sub_(0.5).ceil_()


def _ycc_to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    to_blue, to_red = (chroma - 128).split(1, 1)
    red = (_fix(1.402) * to_red).add_(0.5).floor_()
    green = (_fix(-0.34414) * to_blue + _fix(-0.71414) * to_red).add_(0.5).floor_()
    blue = (_fix(1.772) * to_blue).add_(0.5).floor_()
    return torch.cat((red, green, blue), 1).add_(luma).clamp_(0, 255)


def _halve(planes: Tensor) -> Tensor:
    """Average 2x2 pixels; quarters and halves round down and up in turn along a row, so that no bias adds up.

    The right border is padded before and the lower one after averaging, as libjpeg does.
    """
    height, width = planes.shape[-2:]
    padded = F.pad(planes, (0, -width % 16, 0, height % 2), mode="replicate")
    sums = F.avg_pool2d(padded, 2, divisor_override=1)
    sums[..., 0::2] += 1
    sums[..., 1::2] += 2
    return sums.div_(4).floor_()


def _double(planes: Tensor) -> Tensor:
    """Upsample by 2 with weights 3/4 and 1/4 along each axis ("fancy"); too narrow planes repeat their pixels."""
    if planes.shape[-1] <= 2:
        return planes.repeat_interleave(2, -1).repeat_interleave(2, -2)
    edge = F.pad(planes, (0, 0, 1, 1), mode="replicate")
    above, below = 3 * planes + edge[..., :-2, :], 3 * planes + edge[..., 2:, :]
    tall = torch.stack((above, below), -2).flatten(-3, -2)
    edge = F.pad(tall, (1, 1, 0, 0), mode="replicate")
    left, right = 3 * tall + edge[..., :-2] + 8, 3 * tall + edge[..., 2:] + 7
    return torch.stack((left, right), -1).flatten(-2).div_(16).floor_()
