"""The one place where image files are opened: allowed formats, size limits, and errors that name the file.

A file is decoded by its content, whatever its name. Formats are those of :data:`FORMATS` and no other: each holds
pixels that Pillow decodes itself, without starting a program, following a reference or opening another file.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from dsmix_aug.photos.pixels import load_pixels, to_srgb

#: Formats by Pillow's names -> the suffixes of their files in a folder. HEIF counts where a plugin has registered it,
#: AVIF where Pillow has it. Of animations and files of several pages the first picture is read. TGA is missing because
#: nothing marks it: other files pass for it.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
}

#: Larger photos are not decoded: width times height, and the longer side, in px.
MAX_PIXELS, MAX_SIDE = 2**27, 2**16

ORIENTATION = 0x0112
#: EXIF's orientation -> how the picture becomes upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def readable_formats() -> dict[str, tuple[str, ...]]:
    """Return those of :data:`FORMATS` that this Pillow knows, with its plugins."""
    Image.init()
    return {name: suffixes for name, suffixes in FORMATS.items() if name in Image.OPEN}


def read_photo(path: Path, reduced_to: int | None = None) -> Tensor:
    """Read a photo as (3, H, W) uint8 sRGB, upright as its EXIF orientation says.

    Grey pixels of 16 bits are scaled by 1/257, floats in [0, 1] by 255. Colours follow the ICC profile that the file
    embeds; a damaged profile, and one for another colour space than the pixels', is ignored. What is transparent lies
    on white.

    Args:
        path: The file.
        reduced_to: A shorter side in px that is enough: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which is much
            faster, where it stays at least that large.

    Raises:
        OSError: If the file is missing, of no format in :data:`FORMATS`, too large, damaged, or of pixels whose range
            is not known; whatever a decoder raised is the cause.
    """
    with _report_as_os_error(path):
        return _to_tensor(_decode(path, reduced_to))


def read_shrunk(path: Path, side: int) -> Tensor:
    """Read a photo as :func:`read_photo` does, and shrink it to the shorter side ``side`` if it is larger.

    It is shrunk by Pillow's bilinear filter, which is free of aliasing, before it becomes a tensor: a large photo takes
    4 bytes of memory per pixel. A JPEG is decoded at a reduced size of at least twice ``side``.

    Args:
        path: The file.
        side: In px.

    Raises:
        OSError: As :func:`read_photo` does.
    """
    with _report_as_os_error(path):
        picture = _decode(path, 2 * side)
        shorter = min(picture.size)
        if shorter > side:
            width, height = (side * length // shorter for length in picture.size)
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return _to_tensor(picture)


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def photo_size(path: Path) -> tuple[int, int]:
    """Return a photo's width and height in px as its header has them, not yet upright.

    Raises:
        OSError: If the file is missing, of no format in :data:`FORMATS`, or too large.
    """
    with _report_as_os_error(path), _open(path) as image:
        return image.size


@contextmanager
def _report_as_os_error(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an OSError that names the file, and keep its warnings back."""
    try:
        with _quiet_pillow:
            yield
    except FileNotFoundError:
        raise
    except Exception as error:  # decoders raise RuntimeError, struct.error, MemoryError and many more
        raise OSError(f"{path} cannot be read: {str(error) or type(error).__name__}") from error


def _decode(path: Path, reduced_to: int | None) -> Image.Image:
    """Return the picture in 8-bit sRGB, upright."""
    with _open(path) as image:
        if reduced_to is not None:
            image.draft(None, (reduced_to, reduced_to))  # None: the mode stays
        load_pixels(image)
        picture = to_srgb(image)
        orientation = _orientation(image)
        return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _open(path: Path) -> ImageFile.ImageFile:
    """Return an image whose header is read and within limits, and whose pixels are not decoded."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: the file is missing")
    if not path.is_file():  # a pipe would block
        raise OSError("it is not a file")
    formats = tuple(readable_formats())
    try:
        image = Image.open(path, formats=formats)
    except UnidentifiedImageError as error:
        raise OSError(f"its content cannot be identified as one of {', '.join(formats)}") from error
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        image.close()
        raise OSError(f"{width}x{height} px is more than {MAX_PIXELS:,} px, or a side of {MAX_SIDE:,} px")
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a decoded image, 1 if it has none that can be read; other tags do not matter."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF; the pixels may be sound
        return 1
    if isinstance(value, bytes):  # some cameras write it as a byte, not as a short integer
        value = int.from_bytes(value.strip(b"\0"), "big")
    return value if isinstance(value, int) else 1


class _QuietPillow:
    """Keeps the warnings of Pillow's own modules back while any thread reads a photo; others are not touched.

    ``warnings.catch_warnings`` in each thread would not do: threads that overlap would restore each other's filters.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._catcher = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._catcher.__exit__(None, None, None)


_quiet_pillow = _QuietPillow()
