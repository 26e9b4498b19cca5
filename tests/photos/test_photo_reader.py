"""Reading one photo: every mode against arrays made here, colours against colorimetry, faults as one kind of error."""

import colorsys
import os
import struct
import threading
import warnings

import numpy as np
import pytest
import torch
from photo_files import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    XYZ_TO_SRGB,
    curve_tag,
    lab_to_srgb,
    make_cmyk_icc,
    make_exif,
    make_icc,
    make_rgb_icc,
    png_chunk,
    srgb_decode,
    srgb_encode,
    write_png,
)
from PIL import Image, ImageFile, features

from dsmix_aug.photos import reader
from dsmix_aug.photos.pixels import to_srgb
from dsmix_aug.photos.reader import MAX_PIXELS, MAX_SIDE, photo_size, read_photo, read_shrunk

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY_16 = RNG.integers(0, 65536, (12, 20), dtype=np.uint16)
GREY_16[0, :2] = 0, 65535
TO_8_BITS = np.floor(GREY_16 / 257 + 0.5)
IN_8_BITS = torch.uint8


def read(path) -> np.ndarray:
    """The photo as (H, W, 3) integers."""
    photo = read_photo(path)
    assert (photo.dtype, photo.ndim, photo.shape[0]) == (IN_8_BITS, 3, 3)
    return photo.permute(1, 2, 0).numpy().astype(int)


def grey(values) -> np.ndarray:
    return np.repeat(np.asarray(values)[..., None], 3, -1)


def on_white(colors, alpha) -> np.ndarray:
    opacity = np.asarray(alpha, float)[..., None] / 255
    return np.asarray(colors, float) * opacity + 255 * (1 - opacity)


# Modes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_grey_of_16_bits_is_scaled(tmp_path, name):
    if name == "a.jp2" and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
    if name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5 20 12 65535\n" + GREY_16.astype(">u2").tobytes())
    else:
        Image.fromarray(GREY_16).save(tmp_path / name)
    assert np.array_equal(read(tmp_path / name), grey(TO_8_BITS))


def test_grey_of_16_bits_in_the_other_byte_order(tmp_path):
    Image.fromarray(GREY_16.astype(">u2")).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "I;16B"
    assert np.array_equal(read(tmp_path / "a.tif"), grey(TO_8_BITS))


def write_tiff(path, samples: bytes, width, height, bits, photometric=1, sample_format=1) -> None:
    """A TIFF of one strip, little-endian, one sample a pixel."""
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    entries += [(278, height), (279, len(samples)), (339, sample_format)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(samples)) + samples + directory + b"\0" * 4)


def test_grey_tiff_whose_zero_is_white(tmp_path):
    write_tiff(tmp_path / "a.tif", GREY_16.astype("<u2").tobytes(), 20, 12, 16, photometric=0)
    assert np.array_equal(read(tmp_path / "a.tif"), 255 - grey(TO_8_BITS))


def test_grey_tiff_of_12_bits(tmp_path):
    values = np.arange(4096).reshape(64, 64)
    pairs = values.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    write_tiff(tmp_path / "a.tif", packed.astype(np.uint8).tobytes(), 64, 64, 12)
    assert np.array_equal(read(tmp_path / "a.tif"), grey(np.floor(values * 255 / 4095 + 0.5)))


def test_floats_from_0_to_1(tmp_path):
    floats = (GREY_16 / 65535).astype(np.float32)
    Image.fromarray(floats).save(tmp_path / "a.tif")
    assert np.array_equal(read(tmp_path / "a.tif"), grey(np.rint(floats * 255)))
    write_tiff(tmp_path / "white.tif", floats.tobytes(), 20, 12, 32, photometric=0, sample_format=3)
    assert np.array_equal(read(tmp_path / "white.tif"), 255 - grey(np.rint(floats * 255)))


@pytest.mark.parametrize("values", [[0, 255], [-0.1, 1], [0, 1.01], [0, np.nan], [0, np.inf]])
def test_other_floats_are_refused(tmp_path, values):
    Image.fromarray(np.float32([values])).save(tmp_path / "a.tif")
    with pytest.raises(OSError, match=r"a\.tif cannot be read: pixels are floats from .* in \[0, 1\] only"):
        read_photo(tmp_path / "a.tif")


def test_integers_of_32_bits_are_refused(tmp_path):
    Image.fromarray(GREY_16.astype(np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(OSError, match=r"a\.tif cannot be read: pixels are 32-bit integers"):
        read_photo(tmp_path / "a.tif")


def test_color_of_16_bits_is_right_within_a_level(tmp_path):
    samples = RNG.integers(0, 65536, (9, 7, 3))
    write_png(tmp_path / "a.png", samples, 16, 2)
    assert np.abs(read(tmp_path / "a.png") - samples / 257).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits(tmp_path, bits):
    samples = RNG.integers(0, 2**bits, (9, 7))
    write_png(tmp_path / "a.png", samples, bits, 0)
    assert np.array_equal(read(tmp_path / "a.png"), grey(samples * 255 // (2**bits - 1)))


def test_palettes(tmp_path):
    Image.fromarray(RGB).quantize(8).save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        colors = np.reshape(image.getpalette(), (-1, 3))
        expected = colors[np.asarray(image)]
    assert np.array_equal(read(tmp_path / "a.gif"), expected)


def test_cmyk_as_adobe_writes_it_in_jpegs(tmp_path):
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 128, 0, 64), (10, 20, 30, 255)]
    for ink in inks:
        Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=100)
        expected = [(255 - value) * (255 - ink[3]) / 255 for value in ink[:3]]
        assert np.abs(read(tmp_path / "a.jpg") - expected).max() <= 2


def test_ycbcr():
    planes = RNG.integers(64, 192, (8, 8, 3), dtype=np.uint8)
    y, cb, cr = (planes[..., index].astype(float) for index in range(3))
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    expected = np.stack([red, green, blue], -1).clip(0, 255)
    picture = to_srgb(Image.frombytes("YCbCr", (8, 8), planes.tobytes()))
    assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_pixels_multiplied_by_their_opacity(mode):
    alpha = np.full((12, 20), 128, np.uint8)
    colors = (RGB if mode == "RGBa" else RGB[..., :1]) // 2
    picture = to_srgb(Image.frombytes(mode, (20, 12), np.dstack([colors, alpha]).tobytes()))
    expected = np.broadcast_to(colors + 127.0, RGB.shape)
    assert np.abs(np.asarray(picture) - expected).max() <= 2


def test_hsv():
    hues = np.dstack([np.arange(256), np.full(256, 200), np.full(256, 220)]).astype(np.uint8)
    expected = [colorsys.hsv_to_rgb(hue / 255, 200 / 255, 220 / 255) for hue in range(256)]
    picture = to_srgb(Image.frombytes("HSV", (256, 1), hues.tobytes()))
    assert np.abs(np.asarray(picture)[0] - 255 * np.array(expected)).max() <= 3


def test_lab(tmp_path):
    lab = np.array([[[50, 0, 0], [80, 10, 30], [60, -30, 20], [100, 0, 0], [0, 0, 0]]], float)
    stored = np.rint(np.stack([lab[..., 0] * 255 / 100, lab[..., 1] + 128, lab[..., 2] + 128], -1)).astype(np.uint8)
    Image.merge("LAB", [Image.fromarray(stored[..., band]) for band in range(3)]).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - lab_to_srgb(lab)).max() <= 2


# Transparency --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lies_on_white(tmp_path, mode, name):
    if (mode, name) == ("LA", "a.webp"):
        mode = "RGBA"  # WebP has no grey
    colors = RGB if mode == "RGBA" else RGB[..., :1]
    alpha = RNG.integers(0, 256, (12, 20), dtype=np.uint8)
    alpha[0], alpha[1] = 0, 255
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    Image.frombytes(mode, (20, 12), np.dstack([colors, alpha]).tobytes()).save(tmp_path / name, **options)
    assert np.abs(read(tmp_path / name) - on_white(np.broadcast_to(colors, RGB.shape), alpha)).max() <= 1


def test_one_visible_picture_gives_one_tensor(tmp_path):
    seen = np.full((8, 8, 4), 200, np.uint8)
    seen[:, :4, 3], seen[:, 4:, 3] = 255, 0
    photos = []
    for hidden in (0, 255):
        seen[:, 4:, :3] = hidden
        Image.fromarray(seen).save(tmp_path / f"{hidden}.png")
        photos.append(read(tmp_path / f"{hidden}.png"))
    assert np.array_equal(*photos)
    assert photos[0][:, 4:].min() == 255


@pytest.mark.parametrize("transparency", [b"\0\x80\xff", 1], ids=["an opacity per color", "one color"])
def test_transparent_palettes(tmp_path, transparency):
    indices = RNG.integers(0, 3, (6, 5), dtype=np.uint8)
    image = Image.frombytes("P", (5, 6), indices.tobytes())
    palette = np.array([(10, 20, 30), (40, 50, 60), (70, 80, 90)], np.uint8)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", transparency=transparency)
    opacity = np.array([0, 128, 255] if transparency != 1 else [255, 0, 255])
    assert np.abs(read(tmp_path / "a.png") - on_white(palette[indices], opacity[indices])).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_level(tmp_path, bits):
    samples = RNG.integers(0, 2**bits, (9, 7))
    key = int(samples[4, 3])
    write_png(tmp_path / "a.png", samples, bits, 0, png_chunk(b"tRNS", struct.pack(">H", key)))
    expected = np.where(samples == key, 255, np.floor(samples * 255 / (2**bits - 1) + 0.5))
    assert np.array_equal(read(tmp_path / "a.png"), grey(expected))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_color(tmp_path, bits):
    samples = RNG.integers(0, 2**bits, (9, 7, 3))
    key = samples[4, 3].tolist()
    write_png(tmp_path / "a.png", samples, bits, 2, png_chunk(b"tRNS", struct.pack(">3H", *key)))
    expected = samples * 255 / (2**bits - 1)
    expected[4, 3] = 255
    assert np.abs(read(tmp_path / "a.png") - expected).max() <= 1


@pytest.mark.parametrize("color_type", [4, 6])
def test_opacity_of_16_bits(tmp_path, color_type):
    channels = 2 if color_type == 4 else 4
    samples = RNG.integers(0, 65536, (9, 7, channels))
    write_png(tmp_path / "a.png", samples, 16, color_type)
    colors = np.broadcast_to(samples[..., :-1] / 257, (9, 7, 3))
    assert np.abs(read(tmp_path / "a.png") - on_white(colors, samples[..., -1] / 257)).max() <= 2


# Colour profiles -----------------------------------------------------------------------------------------------------

STEPS = np.linspace(0, 1, 1024)
ADOBE_ICC = make_rgb_icc(ADOBE_RGB, STEPS**ADOBE_GAMMA)
P3_ICC = make_rgb_icc(DISPLAY_P3, srgb_decode(STEPS))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
@pytest.mark.parametrize("space", ["Adobe RGB", "Display P3"])
def test_wide_gamuts_become_srgb(tmp_path, space, name):
    icc = ADOBE_ICC if space == "Adobe RGB" else P3_ICC
    flat = np.zeros((16, 16, 3), np.uint8)
    for color in [(200, 120, 60), (60, 200, 90), (128, 128, 128), (255, 255, 255), (0, 0, 0), (30, 60, 230)]:
        flat[:] = color
        options = {"quality": 100} if name == "a.jpg" else {"lossless": True} if name == "a.webp" else {}
        Image.fromarray(flat).save(tmp_path / name, icc_profile=icc, **options)
        values = np.array(color) / 255
        linear = values**ADOBE_GAMMA if space == "Adobe RGB" else srgb_decode(values)
        primaries = ADOBE_RGB if space == "Adobe RGB" else DISPLAY_P3
        expected = srgb_encode(XYZ_TO_SRGB @ primaries @ linear)
        assert np.abs(read(tmp_path / name) - expected).max() <= 2 + (name == "a.jpg")


def test_a_profile_under_transparency(tmp_path):
    samples = np.zeros((4, 4, 4), np.uint8)
    samples[:] = 200, 120, 60, 128
    Image.fromarray(samples).save(tmp_path / "a.png", icc_profile=ADOBE_ICC)
    expected = srgb_encode(XYZ_TO_SRGB @ ADOBE_RGB @ (np.array([200, 120, 60]) / 255) ** ADOBE_GAMMA)
    assert np.abs(read(tmp_path / "a.png") - on_white(expected, 128)).max() <= 2


def test_srgb_profiles_change_nothing(tmp_path):
    columns = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=make_rgb_icc(columns, srgb_decode(STEPS)))
    assert np.array_equal(read(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile(tmp_path, mode):
    levels = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(levels.astype(np.uint16) * 257 if mode == "I;16" else levels)
    if mode == "LA":
        image.putalpha(255)
    linear = make_icc(b"GRAY", {b"kTRC": curve_tag(np.array([0.0, 1.0]))})
    image.save(tmp_path / "a.png", icc_profile=linear)
    assert np.abs(read(tmp_path / "a.png")[0, :, 0] - srgb_encode(levels[0] / 255)).max() <= 1


def test_a_cmyk_profile(tmp_path):
    lab = {
        (0, 0, 0, 0): (100, 0, 0),
        (1, 0, 0, 0): (60, -20, -30),
        (0, 1, 0, 0): (50, 40, 5),
        (0, 0, 1, 0): (90, 0, 60),
    }
    icc = make_cmyk_icc(lab)
    for corner, color in lab.items():
        ink = tuple(255 * value for value in corner)
        for name in ("a.jpg", "a.tif"):
            Image.new("CMYK", (16, 16), ink).save(tmp_path / name, icc_profile=icc)
            assert np.abs(read(tmp_path / name) - lab_to_srgb(np.array(color, float))).max() <= 3


@pytest.mark.parametrize(
    "icc", [b"no profile", ADOBE_ICC[:200], ADOBE_ICC.replace(b"RGB ", b"CMYK", 1), make_icc(b"GRAY", {})]
)
def test_a_profile_that_cannot_be_used_is_ignored(tmp_path, icc):
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=icc)
    assert np.array_equal(read(tmp_path / "a.png"), RGB)


# Orientation ---------------------------------------------------------------------------------------------------------

#: EXIF 2.3, 4.6.4: which side of the picture the stored rows and columns begin at.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_photos_are_turned_upright_once(tmp_path, name, orientation):
    options = {"lossless": True} if name == "a.webp" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / name, exif=exif, **options)
    assert np.array_equal(read(tmp_path / name), UPRIGHT[orientation](RGB))


TURNED = (0x0112, 3, 1, b"\6\0\0\0")


@pytest.mark.parametrize(
    "entries",
    [
        [(0x0112, 1, 1, b"\6\0\0\0")],  # the orientation as BYTE
        [(0x0112, 4, 1, b"\6\0\0\0")],  # as LONG
        [TURNED, (0x0128, 2, 2, b"2\0\0\0")],  # ResolutionUnit as text
        [(0x0100, 2, 2, b"9\0\0\0"), TURNED],  # ImageWidth as text
        [(0x0100, 11, 1, b"\0\0\x80?"), TURNED],  # as a float
        [(0x0100, 7, 4, b"abcd"), TURNED],  # as bytes of no meaning
        [TURNED, (0x011A, 7, 4, b"abcd")],  # XResolution
        [TURNED, (0x9204, 10, 1, b"\xff\xff\0\0")],  # a rational beyond the end
    ],
)
def test_odd_exif_tags_do_not_matter(tmp_path, entries):
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=make_exif(*entries))
    assert np.array_equal(read(tmp_path / "a.png"), np.rot90(RGB, -1))
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=make_exif(*entries))
    assert read(tmp_path / "a.jpg").shape == (20, 12, 3)


def test_damaged_exif_beside_sound_pixels(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=b"Exif\0\0no TIFF")
    assert np.array_equal(read(tmp_path / "a.png"), RGB)


# Several pictures in a file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif", "a.mpo"])
def test_the_first_picture_is_read(tmp_path, name):
    first, second = (Image.new("RGB", (16, 16), color) for color in ((250, 0, 0), (0, 0, 250)))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    assert np.abs(read(tmp_path / name) - [250, 0, 0]).max() <= 3


def test_a_reduced_read_is_the_photo_at_a_smaller_scale(tmp_path):
    rows, columns = np.mgrid[:512, :768]
    smooth = np.dstack([rows / 2, columns / 3, 255 - rows / 2]).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    photo = read_photo(tmp_path / "a.jpg", reduced_to=100).permute(1, 2, 0).numpy().astype(float)
    assert photo.shape == (128, 192, 3)
    means = smooth.reshape(128, 4, 192, 4, 3).mean((1, 3))
    assert np.abs(photo - means).max() < 8
    assert read_photo(tmp_path / "a.jpg", reduced_to=300).shape == (3, 512, 768)


# Limits and faults ---------------------------------------------------------------------------------------------------


def write_huge_png(path, width, height):
    write_png(path, np.zeros((1, 8), int), 8, 0)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = png_chunk(b"IHDR", bytes(content[16:29]))[-4:]
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("width", "height"),
    [(178_000_000, 1), (1, 178_000_000), (12_000, 12_000), (13_000, 14_000), (MAX_SIDE + 1, 1), (2**31 - 1, 2**31 - 1)],
)
def test_large_photos_are_refused_by_their_header(tmp_path, monkeypatch, width, height):
    write_huge_png(tmp_path / "a.png", width, height)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("was decoded"))
    for function in (read_photo, photo_size):
        with pytest.raises(OSError, match=r"a\.png cannot be read: .*(px is more than|exceeds limit)"):
            function(tmp_path / "a.png")


def test_the_limit_is_above_photos_of_a_hundred_megapixels():
    assert MAX_PIXELS > 12_000 * 9_000


def test_a_photo_above_pillows_warning_gives_none(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # Pillow warns from here, and raises above 400
    assert np.array_equal(read(tmp_path / "a.png"), RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(OSError, match=r"a\.png cannot be read"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize(
    "error",
    [
        *(kind("a") for kind in (RuntimeError, NotImplementedError, struct.error, SyntaxError, TypeError, ValueError)),
        *(kind("a") for kind in (Image.DecompressionBombError, OSError, IndexError)),
        MemoryError(),
        EOFError(),
    ],
    ids=repr,
)
def test_whatever_a_decoder_raises_is_an_os_error(tmp_path, monkeypatch, error):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    def load(*_):
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(OSError, match=r"a\.png cannot be read: .") as caught:
        read_photo(tmp_path / "a.png")
    assert caught.value.__cause__ is error


def test_ctrl_c_passes(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    def load(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(KeyboardInterrupt):
        read_photo(tmp_path / "a.png")


def test_what_is_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "folder.jpg"):
        with pytest.raises(OSError, match="it is not a file"):
            read_photo(tmp_path / name)
    for name in ("nowhere.jpg", "nul\0.jpg"):
        with pytest.raises(FileNotFoundError, match="the file is missing"):
            read_photo(tmp_path / name)
    with pytest.raises(OSError, match="cannot be read"):
        read_photo(tmp_path / ("x" * 300 + ".jpg"))


def test_decoders_warnings_stay_inside_and_others_come_out(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.tif", compression="tiff_lzw")
    load = ImageFile.ImageFile.load
    inside, go_on = threading.Barrier(3, timeout=20), threading.Event()

    def warn_and_load(image):
        inside.wait()
        assert go_on.wait(20)
        warnings.warn_explicit("odd tag", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
        return load(image)

    monkeypatch.setattr("dsmix_aug.photos.reader.load_pixels", warn_and_load)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        threads = [threading.Thread(target=read_photo, args=(tmp_path / "a.tif",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        inside.wait()
        warnings.warn("of somebody else", UserWarning, stacklevel=1)
        go_on.set()
        for thread in threads:
            thread.join()
        assert list(warnings.filters) == filters
    assert [str(warning.message) for warning in caught] == ["of somebody else"]
    assert reader._quiet_pillow._readers == 0


# Shrinking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "shrunk"), [((90, 64), (45, 32)), ((64, 97), (32, 48)), ((33, 32), (33, 32))])
def test_a_larger_photo_is_shrunk_without_aliasing(tmp_path, size, shrunk):
    width, height = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    photo = read_shrunk(tmp_path / "photo.png", 32)
    assert tuple(photo.shape) == (3, shrunk[1], shrunk[0])
    whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(whole, photo.shape[1:], mode="bilinear", antialias=True)[0]
    assert (photo - expected).abs().max() <= 1


def test_a_shrunk_jpeg_is_decoded_small_and_upright(tmp_path, monkeypatch):
    ramp = np.linspace(0, 255, 320)[None, :, None] * np.ones((256, 1, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "photo.jpg", quality=95, exif=exif)
    decoded = []
    monkeypatch.setattr(reader, "to_srgb", lambda image: (decoded.append(image.size), to_srgb(image))[1])
    photo = read_shrunk(tmp_path / "photo.jpg", 32)
    assert decoded == [(80, 64)]
    assert tuple(photo.shape) == (3, 40, 32)
    expected = (np.arange(40) + 0.5) / 40 * 255
    assert np.abs(photo[0, :, 16].numpy() - expected)[2:-2].max() < 3
