"""Distortions by lossy compression: JPEG 2000 and JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from torch import Tensor

from dsmix_aug.distortions._distortion import Distortion, Draws, from_working_dtype, register
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
    may save in other places; the ratio is met within 8 % at 224x224 px and within 1 % at 512x384 px.

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

    The codec is libjpeg on the CPU; elsewhere :func:`~dsmix_aug.distortions._jpeg.compress_jpeg` gives the same values
    without leaving the device.

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


def _recode(images: Tensor, values: Sequence[float], encode: Callable[[Planes, float], bytes]) -> Tensor:
    """Send images (N, C, H, W), rounded to 8 bits, through a codec on the host."""
    pixels = from_working_dtype(images, torch.uint8).cpu().numpy()
    decoded = np.empty_like(pixels)
    for planes, value, out in zip(pixels, values, decoded, strict=True):
        out[:] = _decode(encode(planes, value))
    return torch.from_numpy(decoded).to(images.device, images.dtype).div_(255)


def _decode(file: bytes) -> Sequence[npt.NDArray[Any]]:
    """Return the 8 bit planes of a JPEG or JPEG 2000 file; OpenCV's pixels are Pillow's, in less time."""
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise RuntimeError("OpenCV cannot decode this file; a build with JPEG and JPEG 2000 (OpenJPEG) is needed")
    return cv2.split(pixels)[::-1]  # from BGR
