"""Reading photos: what cannot be read is named in a warning and left out, never fatal and never silent."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from dsmix_aug.nriqa.base.files import file_hash, fingerprint, replace_when_done

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Skipped:
    """A photo that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class PhotoSet:
    """Pristine photos: some to train on, others held out.

    Attributes:
        name: Where they come from, in words.
        training: Photos for pre-training.
        held_out: Other photos, that pre-training never sees.
        skipped: Photos that were left out.
        fingerprint: Hash of the photos' names and contents.
    """

    name: str
    training: tuple[Path, ...]
    held_out: tuple[Path, ...]
    skipped: tuple[Skipped, ...]
    fingerprint: str


def read_photo(path: Path) -> Tensor:
    """Read a photo as (3, H, W) uint8 RGB, upright as its EXIF orientation says.

    Raises:
        OSError: If the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as file:
            return F.pil_to_tensor(ImageOps.exif_transpose(file).convert("RGB"))
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises for some bad files
        raise OSError(f"{path} cannot be read: {error}") from error


@lru_cache(maxsize=2048)
def read_shrunk(path: Path, side: int) -> Tensor:
    """Read a photo and shrink it to the shorter side ``side`` if it is larger; kept in memory, not to be modified."""
    photo = read_photo(path)
    return F.resize(photo, [side], antialias=True) if min(photo.shape[-2:]) > side else photo


def read_center(path: Path, photo_side: int, side: int) -> Tensor:
    """Read a photo as :func:`read_shrunk` does, and crop its centre: (3, side, side) uint8."""
    return F.center_crop(read_shrunk(path, photo_side), [side, side])


def random_crop(photo: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return a random square of a (3, H, W) photo: (3, side, side), a view."""
    top, left = (int(torch.randint(length - side + 1, (), generator=generator)) for length in photo.shape[-2:])
    return photo[:, top : top + side, left : left + side]


def list_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder and its subfolders, by suffix, sorted by name.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If no photo is in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} holds no photo ({', '.join(PHOTO_SUFFIXES)})")
    return paths


def check_photos(paths: Sequence[Path], min_side: int = 1) -> tuple[list[Path], list[Skipped]]:
    """Decode every photo once, and part those that can be used from those that cannot, each with a warning.

    Args:
        paths: The photos.
        min_side: Smallest height and width in px.

    Raises:
        ValueError: If none can be used.
    """
    good, skipped = [], []
    for path in tqdm(paths, "checking photos", leave=False, disable=len(paths) < 100):
        reason = _find_fault(path, min_side)
        if reason:
            skipped.append(Skipped(path, reason))
            warnings.warn(f"skipped {path}: {reason}", stacklevel=2)
        else:
            good.append(path)
    if not good:
        raise ValueError(f"none of {len(paths)} photos can be used; the first: {skipped[0].path}: {skipped[0].reason}")
    return good, skipped


def _find_fault(path: Path, min_side: int) -> str | None:
    if not path.is_file():
        return "the file is missing"
    try:
        height, width = read_photo(path).shape[-2:]
    except OSError as error:
        return str(error)
    if min(height, width) < min_side:
        return f"{width}x{height} px is smaller than {min_side} px"
    return None


def photo_fingerprint(paths: Iterable[Path]) -> str:
    """Return a hash of photos' names and contents."""
    return fingerprint(*(f"{path.name} {file_hash(path)}" for path in paths))


def write_png(image: Tensor, path: Path) -> None:
    """Write a (3, H, W) uint8 image as PNG, in one piece."""
    with replace_when_done(path) as temporary:
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(temporary, "PNG", compress_level=1)


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]."""
    return F.to_dtype(images, torch.float32, scale=True)
