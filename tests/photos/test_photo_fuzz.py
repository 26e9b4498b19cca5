"""Mutated files of every format: each is a photo, or an OSError that names the file; never another error or a warning.

``DSMIX_FUZZ=10000`` mutates so many files of each format instead of a few hundred.
"""

import io
import os
import zlib

import numpy as np
import pytest
import torch
from photo_files import ADOBE_GAMMA, ADOBE_RGB, make_exif, make_rgb_icc
from PIL import Image

from dsmix_aug.photos import reader
from dsmix_aug.photos.reader import read_photo, readable_formats

FILES = int(os.environ.get("DSMIX_FUZZ", "300"))
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
ICC = make_rgb_icc(ADOBE_RGB, np.linspace(0, 1, 16) ** ADOBE_GAMMA)
EXIF = make_exif((0x0100, 3, 1, b"\x18\0\0\0"), (0x0112, 3, 1, b"\6\0\0\0"), (0x011A, 5, 1, b"\x1a\0\0\0"))
#: Bytes that decoders take for sizes, counts and offsets.
EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def encode(image: Image.Image, name: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def make_seeds(name: str) -> list[bytes]:
    """Sound files of a format, in several modes."""
    rgb = Image.fromarray(PIXELS)
    rgba, palette, grey, cmyk = (rgb.convert(mode) for mode in ("RGBA", "P", "L", "CMYK"))
    sixteen = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    floats = Image.fromarray(PIXELS[..., 0].astype(np.float32) / 255)
    if name == "JPEG":
        modes = [encode(image, name) for image in (grey, cmyk)]
        modes.append(encode(rgb, "MPO", save_all=True, append_images=[rgb.rotate(90)]))
        return [*modes, encode(rgb, name, exif=EXIF, icc_profile=ICC), encode(rgb, name, progressive=True)]
    if name == "PNG":
        modes = [encode(image, name) for image in (rgba, palette, sixteen)]
        animated = encode(rgb, name, save_all=True, append_images=[rgba.convert("RGB").rotate(90)])
        return [*modes, animated, encode(rgb, name, exif=EXIF, icc_profile=ICC), encode(grey, name, transparency=7)]
    if name == "TIFF":
        plain = [encode(image, name) for image in (rgba, palette, sixteen, floats, cmyk)]
        packed = [encode(rgb, name, compression=kind) for kind in ("tiff_lzw", "jpeg", "packbits", "tiff_deflate")]
        return [*plain, *packed, encode(rgb, name, icc_profile=ICC)]
    if name in ("WEBP", "AVIF"):
        several = encode(rgb, name, save_all=True, append_images=[rgb.rotate(90)])
        return [several, encode(rgba, name), encode(rgb, name, exif=EXIF, icc_profile=ICC)]
    if name == "PPM":
        plain = b"P3\n# a comment\n4 2\n255\n" + b" ".join(b"%d" % value for value in range(24))
        deep = b"P5 24 24 65535\n" + PIXELS[..., :2].tobytes()
        return [encode(image, name) for image in (rgb, grey, grey.convert("1"))] + [plain, deep]
    if name == "GIF":
        return [encode(palette, name, save_all=True, append_images=[palette.rotate(90)]), encode(rgba, name)]
    return [encode(image, name) for image in (rgb, grey, rgba)]  # BMP, JPEG2000


def mutate(seed: bytes, rng: np.random.Generator) -> bytes:
    """A file with a few bytes changed, cut out, put in or repeated, or its end cut off."""
    content = bytearray(seed)
    for _ in range(rng.integers(1, 6)):
        # Headers are what decoders go by: half of all places are among the first bytes.
        place = int(rng.integers(0, len(content) if rng.random() < 0.5 else min(len(content), 128)))
        kind = rng.integers(0, 6)
        if kind == 0:
            content[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            content[place] = EDGES[rng.integers(0, len(EDGES))]
        elif kind == 2:
            content[place : place + 4] = rng.bytes(4)
        elif kind == 3:
            content[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 4 and len(content) > 32:
            del content[place : place + int(rng.integers(1, 17))]
        elif kind == 5 and rng.random() < 0.3 and len(content) > 32:
            del content[max(16, place) :]
    return bytes(content)


def mend_png_checksums(content: bytes) -> bytes:
    """Most mutations would end at a chunk's checksum, which a file made to do harm has right."""
    mended, place = bytearray(content), 8
    while place + 12 <= len(mended):
        end = place + 8 + int.from_bytes(mended[place : place + 4], "big")
        mended[end : end + 4] = zlib.crc32(mended[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(mended)


@pytest.mark.parametrize("name", [name for name in readable_formats() if name != "HEIF"])
def test_mutated_files_are_photos_or_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(reader, "MAX_PIXELS", 2**20)  # some claim to be large, and decoding them takes long
    rng = np.random.default_rng(len(name))
    seeds = make_seeds(name)
    path = tmp_path / "photo.jpg"
    read = 0
    messages: set[str] = set()
    for number in range(FILES):
        content = mutate(seeds[number % len(seeds)], rng)
        if name == "PNG" and number % 4:
            content = mend_png_checksums(content)
        path.write_bytes(content)
        try:
            photo = read_photo(path)
        except OSError as error:
            messages.add(str(error).removeprefix(f"{path} "))
        else:
            read += 1
            assert photo.dtype == torch.uint8
            assert photo.shape[0] == 3
            assert photo.shape.numel() <= 3 * 2**20
    assert all(message.startswith("cannot be read: ") for message in messages)
    print(f"{name}: {read} of {FILES} read")
    assert 0 < read < FILES  # mutations are neither harmless nor hopeless


@pytest.mark.parametrize("name", [name for name in readable_formats() if name != "HEIF"])
def test_the_seeds_are_sound(tmp_path, name):
    for number, seed in enumerate(make_seeds(name)):
        path = tmp_path / f"{number}.png"  # content decides, not the suffix
        path.write_bytes(seed)
        assert read_photo(path).shape in ((3, 24, 24), (3, 2, 4))
