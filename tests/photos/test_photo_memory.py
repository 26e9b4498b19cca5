"""How much memory a photo takes to read, measured in a process of its own: bounded by its pixels, whatever it says."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from dsmix_aug.photos.reader import MAX_PIXELS, MAX_SIDE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's memory from /proc"),
]

MIB = 2**20
#: Reads a photo and prints how far the process's memory rose meanwhile, in bytes. A small photo comes first, so that
#: packages and tables do not count.
SCRIPT = """
import re, sys
from pathlib import Path
from dsmix_aug.photos.reader import read_photo, read_shrunk

def memory(entry):
    return int(re.search(entry + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

small, photo, side = sys.argv[1:]
read = lambda path: read_photo(path) if side == "whole" else read_shrunk(path, int(side))
read(Path(small))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = memory("VmRSS")
try:
    print(tuple(read(Path(photo)).shape))
except OSError as error:
    print(error)
print(memory("VmHWM") - before)
"""


def peak_of(folder, photo, side="whole"):
    """Return the outcome of reading a photo, and the bytes that it took."""
    small = folder / f"small{photo.suffix}"
    Image.new("RGB", (8, 8)).save(small)
    command = [sys.executable, "-c", SCRIPT, str(small), str(photo), str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome, taken = done.stdout.splitlines()
    return outcome, int(taken)


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["large.png", "large.jpg", "large.webp", "large.tif"])
def test_a_photo_takes_a_few_bytes_of_each_pixel(tmp_path, name):
    width, height = 3000, 2000
    noise(width, height).save(tmp_path / name, quality=80)
    outcome, taken = peak_of(tmp_path, tmp_path / name)
    assert outcome == f"(3, {height}, {width})"
    assert taken < 20 * width * height


def test_a_large_jpeg_is_shrunk_in_less(tmp_path):
    """It is decoded at a quarter of its size."""
    width, height = 3000, 2000
    noise(width, height).save(tmp_path / "large.jpg")
    outcome, taken = peak_of(tmp_path, tmp_path / "large.jpg", side=200)
    assert outcome == "(3, 200, 300)"
    assert taken < 2 * width * height


@pytest.mark.parametrize(
    ("name", "mode", "width", "height"),
    [
        ("many_pixels.png", "1", 2**14, MAX_PIXELS // 2**14 + 1),
        ("long.png", "1", 1, MAX_SIDE + 1),
        ("many_pixels.tif", "1", 2**14, MAX_PIXELS // 2**14 + 1),
    ],
)
def test_a_bomb_is_refused_by_its_header(tmp_path, name, mode, width, height):
    path = tmp_path / name
    Image.new(mode, (width, height)).save(path, **({"compression": "group4"} if name.endswith("tif") else {}))
    assert path.stat().st_size < MIB
    outcome, taken = peak_of(tmp_path, path)
    assert f"{width}x{height} px is more than" in outcome
    assert taken < 16 * MIB


def test_a_gif_that_claims_more_than_it_has(tmp_path):
    """A few bytes that would be 4 GB of pixels."""
    path = tmp_path / "claims.gif"
    path.write_bytes(
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b"," + bytes(4) + b"\xff\xff\xff\xff\0\x02\x02D\x01\0;"
    )
    outcome, taken = peak_of(tmp_path, path)
    assert "cannot be read: " in outcome
    assert taken < 16 * MIB


def test_metadata_that_unpacks_to_much_is_bounded(tmp_path):
    """A PNG text chunk of 64 MB of zeros in 64 kB."""
    Image.new("RGB", (16, 16)).save(tmp_path / "plain.png")
    content = (tmp_path / "plain.png").read_bytes()
    body = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(64 * MIB), 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "bomb.png").write_bytes(content[:33] + chunk + content[33:])
    outcome, taken = peak_of(tmp_path, tmp_path / "bomb.png")
    assert outcome == "(3, 16, 16)" or "cannot be read" in outcome
    assert taken < 16 * MIB
