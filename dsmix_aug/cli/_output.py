"""Files that a subcommand writes: never over another one unless asked, and in one piece."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dsmix_aug.nriqa.base.files import replace_when_done

JPEG_QUALITY = 95
#: Colour is kept at full resolution, so that only the distortion changes it.
_JPEG_OPTIONS = (
    *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


def check_absent(paths: Iterable[Path], args: argparse.Namespace) -> None:
    """Raise unless none of the files is there, or ``--force`` is given.

    Raises:
        FileExistsError: If one is there; names the first, and how many.
    """
    there = [] if args.force else [path for path in paths if path.exists()]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise FileExistsError(f"{there[0]}{more} would be overwritten; --force allows it")


def encode_image(image: Tensor, suffix: str) -> bytes:
    """Return the bytes of a JPEG (quality 95, 4:4:4) or PNG file.

    Args:
        image: (3, H, W) uint8, RGB.
        suffix: ``".jpg"`` or ``".png"``.
    """
    pixels = cv2.merge(list(image.numpy()[::-1]))  # OpenCV takes BGR
    return cv2.imencode(suffix, pixels, _JPEG_OPTIONS if suffix == ".jpg" else ())[1].tobytes()


def write_image(image: Tensor, path: Path) -> None:
    """Write a (3, H, W) uint8 image as the suffix of the path says."""
    write_bytes(encode_image(image, path.suffix), path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file in one piece."""
    with replace_when_done(path) as temporary:
        temporary.write_bytes(content)


def write_array(array: Tensor, path: Path) -> None:
    """Write a tensor as float32 to a .npy file in one piece."""
    with replace_when_done(path) as temporary, temporary.open("wb") as file:
        np.save(file, array.detach().cpu().as_subclass(torch.Tensor).float().numpy())
