"""Distortions by lossy compression: JPEG 2000, JPEG, WebP, AVIF, and the colour resolution that codecs save."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug.distortions._color_spaces import rgb_to_ycbcr, ycbcr_to_rgb
from dsmix_aug.distortions._distortion import Distortion, Draws, RangeMode, by_group, from_working_dtype, register
from dsmix_aug.distortions._jpeg import compress_jpeg

#: 8 bit planes (C, H, W), RGB or gray.
Planes = npt.NDArray[np.uint8]


@register
class Jpeg2000(Distortion):
    """Compress with JPEG 2000 (irreversible 9/7 wavelet and colour transform, one tile, one quality layer).

    The codec is OpenJPEG on the host: on CUDA tensors this costs a round trip and a sync. Images are coded one after
    the other, because Pillow holds the interpreter's lock while it encodes.

    No file is shorter than about 260 bytes, most of them headers. So level 5 reaches its ratio on colour images from
    about 190x190 px and on gray ones from about 325x325 px; on smaller images the last levels grow alike.

    Source: KADIS-700k generator, ``imcompressjp2k``, and ISO/IEC 15444-1. Deviation: MATLAB's encoder is closed and
    may discard other details; the ratio is met within 8 % at 224x224 px and within 1 % at 512x384 px.

    Example:
        >>> import torch
        >>> Jpeg2000()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "jpeg2000"
    family = "compression"
    parameter = "compression ratio: 8 bit pixels to file"
    values = (16, 32, 45, 120, 400)
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return _recode(images, values, encode_jpeg2000)


@register
class Jpeg(Distortion):
    """Compress with baseline JPEG, 4:2:0 chroma subsampling, tables and upsampling of libjpeg.

    The codec is libjpeg on the CPU; elsewhere the same arithmetic on tensors gives the same values without leaving the
    device.

    Source: KADIS-700k generator, ``imcompressjpeg``. Deviation: none.

    Example:
        >>> import torch
        >>> Jpeg()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "jpeg"
    family = "compression"
    parameter = "quality"
    values = (43, 36, 24, 7, 4)
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        if images.device.type == "cpu":
            return _recode(images, values, encode_jpeg)
        return compress_jpeg(images, values)


class PillowCodec(Distortion):
    """A codec of Pillow, on the host; Pillow may have been built without it.

    Raises:
        RuntimeError: If this Pillow cannot write the format.
    """

    family = "compression"
    parameter = "quality"
    one_at_a_time = True

    #: Pillow's name of the format, and the options of saving other than the quality.
    format: ClassVar[str]
    options: ClassVar[dict[str, int]]

    def __init__(self, range_mode: RangeMode = "clip") -> None:
        super().__init__(range_mode)
        PIL.Image.init()
        if self.format not in PIL.Image.SAVE:
            raise RuntimeError(
                f"{self.name}: Pillow {PIL.__version__} was built without {self.format}; wheels of pillow>=11.3 have it"
            )

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return _recode(images, values, self._encode, _decode_with_pillow)

    def _encode(self, planes: Planes, quality: float) -> bytes:
        file = io.BytesIO()
        PIL.Image.fromarray(cv2.merge(list(planes))).save(file, self.format, quality=int(quality), **self.options)
        return file.getvalue()


@register
class WebP(PillowCodec):
    """Compress with lossy WebP (VP8 key frame, 4:2:0 chroma subsampling).

    The codec is libwebp on the host: on CUDA tensors this costs a round trip and a sync. Sides are at most 16383 px.

    Source: the levels are our choice: from a quality where the loss begins to show down to the least one, in steps of
    about 1.5 dB. Deviation: none; pixels are those of Pillow's WebP.

    Example:
        >>> import torch
        >>> WebP()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "webp"
    values = (50, 30, 15, 5, 0)

    format = "WEBP"
    options: ClassVar[dict[str, int]] = {"method": 4}


@register
class Avif(PillowCodec):
    """Compress with AVIF (AV1 key frame, 4:2:0 chroma subsampling).

    The codec is Pillow's on the host, in one thread: on CUDA tensors this costs a round trip and a sync.

    Source: the levels are our choice: from a quality where the loss begins to show down to the least one, in steps of
    about 1.5 dB. Deviation: none; pixels are those of Pillow's AVIF at ``speed=8``, which takes half the time of its
    default 6 at up to half a dB less.

    Example:
        >>> import torch
        >>> Avif()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "avif"
    values = (50, 35, 25, 12, 0)

    format = "AVIF"
    options: ClassVar[dict[str, int]] = {"speed": 8, "max_threads": 1}


@register
class ChromaSubsampling(Distortion):
    r"""Keep one value of Cb and one of Cr (BT.601) for k x k pixels, their mean; brightness Y keeps its resolution.

    .. math:: Cb'(p) = \frac{1}{|P|} \sum_{q \in P} Cb(q), \quad P \text{ the block of } p, \text{ and so for } Cr

    Blocks start at the top left; those cut off by the right or lower border are averaged over what they have.

    Source: k = 2 is the 4:2:0 of ITU-T T.871 (JFIF) with pixels repeated; each further level halves the resolution
    once more, which is our choice. Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> ChromaSubsampling()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "chroma_subsampling"
    family = "compression"
    parameter = "side k of a block in px"
    values = (2, 4, 8, 16, 32)
    needs_color = True
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        ycbcr = rgb_to_ycbcr(images)
        sides = [int(side) for side in values]
        ycbcr[:, 1:] = by_group(ycbcr[:, 1:], sides, lambda group, members: _merge_blocks(group, sides[members[0]]))
        return ycbcr_to_rgb(ycbcr).clamp_(0, 1)


def _merge_blocks(planes: Tensor, side: int) -> Tensor:
    """Show in each block of ``side`` x ``side`` pixels its mean."""
    height, width = planes.shape[-2:]
    means = F.avg_pool2d(planes, side, ceil_mode=True)
    return means.repeat_interleave(side, -2).repeat_interleave(side, -1)[..., :height, :width]


def encode_jpeg(planes: Planes, quality: float) -> bytes:
    """Return a JPEG file of 8 bit planes (1 or 3, H, W) at a quality from 1 to 100."""
    options = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)
    pixels = cv2.merge(list(planes[::-1]))  # OpenCV takes BGR
    return cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, int(quality), *options))[1].tobytes()


def encode_jpeg2000(planes: Planes, ratio: float) -> bytes:
    """Return a JPEG 2000 file of 8 bit planes (1 or 3, H, W), ``ratio`` times smaller than they are."""
    file = io.BytesIO()  # by Pillow, as OpenCV writes the 5/3 wavelet only
    PIL.Image.fromarray(cv2.merge(list(planes))).save(
        file, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True, mct=len(planes) == 3
    )
    return file.getvalue()


def _decode(file: bytes) -> Sequence[npt.NDArray[Any]]:
    """Return the 8 bit planes of a JPEG or JPEG 2000 file; OpenCV's pixels are Pillow's, in less time."""
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise RuntimeError("OpenCV cannot decode this file; a build with JPEG and JPEG 2000 (OpenJPEG) is needed")
    return cv2.split(pixels)[::-1]  # from BGR


def _decode_with_pillow(file: bytes) -> npt.NDArray[Any]:
    """Return the 8 bit planes of an image file as red, green and blue, all alike if it is gray."""
    with PIL.Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _recode(
    images: Tensor,
    values: Sequence[float],
    encode: Callable[[Planes, float], bytes],
    decode: Callable[[bytes], Sequence[npt.NDArray[Any]] | npt.NDArray[Any]] = _decode,
) -> Tensor:
    """Send images (N, C, H, W), rounded to 8 bits, through a codec on the host."""
    pixels = from_working_dtype(images, torch.uint8).cpu().numpy()
    decoded = np.empty_like(pixels)
    for planes, value, out in zip(pixels, values, decoded, strict=True):
        out[:] = decode(encode(planes, value))[: len(out)]
    return torch.from_numpy(decoded).to(images.device, images.dtype).div_(255)
