"""Conversion of any mode that Pillow decodes to 8-bit sRGB on white."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile

#: The largest value of 16 bits.
WHITE_16 = 65535
#: TIFF's tags for the bits of a sample, and for the meaning of a zero, which is white where the tag says 0.
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
#: What turns the grey levels of a PNG with 2 or 4 bits into those of 8 bits, by the name that Pillow has for them.
GREY_STEPS = {"L;2": 85, "L;4": 17}
#: Pillow's modes -> colour spaces as an ICC profile names them.
COLOR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
#: Little CMS's flag against tables of 33 levels, which are up to 10 levels off in dark grey.
NO_OPTIMIZE = 0x0100
#: A profile that moves no colour by more than this, of 255, is sRGB under whatever name.
SRGB_TOLERANCE = 1


def load_pixels(image: ImageFile.ImageFile) -> None:
    """Decode an opened image, and put the colour that a PNG calls transparent on the scale of its 8-bit pixels.

    The file states that colour in its own bits, and Pillow leaves it so.
    """
    raw_mode = image.tile[0][3] if image.tile else None
    image.load()
    key = image.info.get("transparency")
    if raw_mode in GREY_STEPS and isinstance(key, int):
        image.info["transparency"] = GREY_STEPS[raw_mode] * key
    elif raw_mode == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)


def to_srgb(image: Image.Image) -> Image.Image:
    """Return a decoded image as 8-bit sRGB.

    Pixels of 16 bits are scaled to 8; floats in [0, 1] to 255. An embedded ICC profile is followed where it is for the
    image's colour space, and ignored where it cannot be used. What is transparent lies on white.

    Raises:
        ValueError: If the pixels' range or mode is not known.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _from_integers(image)
    elif image.mode == "F":
        image = _from_floats(image)
    elif image.mode in ("La", "RGBa"):  # multiplied by their opacity
        image = image.convert(image.mode[:-1] + "A")
    if not image.has_transparency_data:
        return _colors_to_srgb(image, profile)
    rgba = image.convert("RGBA")
    colors = rgba.getchannel("R") if image.mode in ("1", "L", "LA") else rgba.convert("RGB")
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(_colors_to_srgb(colors, profile), mask=rgba.getchannel("A"))
    return on_white


def _from_integers(image: Image.Image) -> Image.Image:
    """Return grey pixels of more than 8 bits as L, or as LA where one value is transparent."""
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # there old versions of Pillow have 16 bits in I
        raise ValueError("pixels are 32-bit integers, whose range is not known")
    tags = _tiff_tags(image)
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    white = 2**bits - 1 if image.format == "TIFF" else WHITE_16
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 510 + white) // (2 * white)).astype(np.uint8)  # value * 255 / white, rounded
    pixels = Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == 0 else grey)
    key = image.info.get("transparency")
    if key is not None:
        pixels.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return pixels


def _from_floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    smallest, largest = values.min(), values.max()
    if not (smallest >= 0 and largest <= 1):  # also where a value is NaN
        raise ValueError(f"pixels are floats from {smallest:g} to {largest:g}; floats are read in [0, 1] only")
    grey = np.rint(values * 255).astype(np.uint8)
    return Image.fromarray(255 - grey if _tiff_tags(image).get(PHOTOMETRIC) == 0 else grey)


def _tiff_tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _colors_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return opaque 8-bit pixels as sRGB."""
    if image.mode not in COLOR_SPACES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode) if profile else None
    if transform is None and image.mode == "LAB":
        transform = _transform(None, "LAB")
    if transform is None:
        return image.convert("RGB")
    return _grey_to_srgb(image, transform) if image.mode == "L" else _apply(transform, image)


def _grey_to_srgb(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """Return grey pixels as sRGB by a table of their 256 levels: exact transforms of grey are slow."""
    ramp = _apply(transform, Image.fromarray(np.arange(256, dtype=np.uint8)[None]))
    indexed = image.copy()
    indexed.putpalette(ramp.tobytes())
    return indexed.convert("RGB")


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None is for transforms in place
    return converted


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns pixels of a mode into sRGB, by an ICC profile or, for LAB, as CIE L*a*b* is defined.

    ``None`` if the profile is sRGB, is damaged, or is for another colour space than the pixels'.
    """
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if given.profile.xcolor_space.strip() != COLOR_SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            given,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            flags=NO_OPTIMIZE if mode == "L" else 0,  # type: ignore[arg-type]
        )
    except Exception:  # a profile is as little to be trusted as pixels are, and its decoder's errors as many
        return None
    return None if _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether a transform leaves colours as they are, up to rounding, on a grid of them."""
    if mode not in ("L", "RGB"):
        return False
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 16, 3) if mode == "RGB" else levels[None]
    before = Image.fromarray(grid)
    after = _apply(transform, before)
    changes = np.asarray(after).astype(int) - np.asarray(before.convert("RGB"))
    return bool(np.abs(changes).max() <= SRGB_TOLERANCE)
