"""Files that the tests of reading photos make byte by byte, so that no decoder's own encoder is the oracle."""

import struct
import zlib
from pathlib import Path

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
#: From XYZ with the white point D50 to linear sRGB (B. Lindbloom, "RGB/XYZ Matrices", Bradford-adapted).
XYZ_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)
#: Columns: red, green, blue of Adobe RGB (1998) in XYZ with the white point D50; its gamma is 563/256.
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_GAMMA = 563 / 256
#: The same of Display P3, whose curve is sRGB's.
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def srgb_decode(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1], clipped -> sRGB, 0 to 255."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """CIE L*a*b* with the white point D50, (..., 3) -> sRGB, 0 to 255."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return srgb_encode(xyz @ XYZ_TO_SRGB.T)


def write_png(path: Path, samples: np.ndarray, bits: int, color_type: int, chunks: bytes = b"") -> None:
    """Write (H, W) or (H, W, C) samples of 1 to 16 bits; ``chunks`` come before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1).astype(np.uint32)
    as_bits = ((rows[..., None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(height, -1)
    lines = b"".join(b"\0" + line.tobytes() for line in np.packbits(as_bits, axis=1))
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    ends = png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + chunks + ends)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def make_icc(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """Return an ICC profile of version 2.4."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz_tag(D50), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, kind, space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + xyz_tag(D50)[8:] + bytes(48)
    return header + table + body


def xyz_tag(xyz: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in xyz))


def curve_tag(values: np.ndarray) -> bytes:
    """Return a tone curve by its values in [0, 1] at equal steps."""
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *(round(value * 65535) for value in values))


def make_rgb_icc(primaries: np.ndarray, curve: np.ndarray) -> bytes:
    """Return the profile of an RGB space: primaries as columns in XYZ, and the curve to linear light."""
    colors = {name + b"XYZ": xyz_tag(column) for name, column in zip((b"r", b"g", b"b"), primaries.T, strict=True)}
    return make_icc(b"RGB ", colors | {name + b"TRC": curve_tag(curve) for name in (b"r", b"g", b"b")})


def make_cmyk_icc(lab_of_corner: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """Return the profile of a CMYK device by the L*a*b* of its 16 corners; a corner not given is black."""
    corners = np.array([(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    lab = np.array([lab_of_corner.get(tuple(corner.tolist()), (0, 0, 0)) for corner in corners])
    table = np.rint(np.stack([lab[:, 0] * 255 / 100, lab[:, 1] + 128, lab[:, 2] + 128], 1)).astype(np.uint8)
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(np.eye(3, dtype=int) * 65536).ravel().tolist())
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + table.tobytes() + identity * 3
    return make_icc(b"CMYK", {b"A2B0": lut}, b"prtr", b"Lab ")


def make_exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return an EXIF block of tags as (tag, type, count, the four bytes of its value)."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + directory + b"\0" * 4
