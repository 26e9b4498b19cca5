"""Photos to train on and to score: what cannot be read is named in a warning and left out, never fatal or silent."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from dsmix_aug._progress import track
from dsmix_aug.nriqa.base.files import file_hash, fingerprint, replace_when_done
from dsmix_aug.photos.listing import list_photos
from dsmix_aug.photos.reader import read_photo, read_shrunk, to_float

__all__ = [
    "PhotoSet",
    "ShrunkPhotos",
    "Skipped",
    "check_photos",
    "list_photos",
    "photo_fingerprint",
    "random_crop",
    "read_center",
    "read_photo",
    "read_shrunk",
    "to_float",
    "write_png",
]

#: Number of skipped photos that a warning names; the list of skipped photos has all of them.
NAMED_IN_WARNING = 3
#: What a :class:`ShrunkPhotos` keeps, in bytes: about 1,800 photos of 384x512 px.
CACHE_BYTES = 2**30


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


class ShrunkPhotos:
    """Photos by path, read as :func:`read_shrunk` does; those used last are kept in memory, not to be modified.

    Args:
        side: Photos are shrunk to this shorter side in px.
        cache_bytes: How much is kept.
    """

    def __init__(self, side: int, cache_bytes: int = CACHE_BYTES) -> None:
        self.side = side
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[Path, Tensor] = OrderedDict()
        self._kept_bytes = 0

    def __getitem__(self, path: Path) -> Tensor:
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        photo = read_shrunk(path, self.side)
        self._kept[path] = photo
        self._kept_bytes += photo.nbytes
        while self._kept_bytes > self.cache_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return photo


def read_center(path: Path, photo_side: int, side: int) -> Tensor:
    """Read a photo as :func:`read_shrunk` does, and crop its centre: (3, side, side) uint8."""
    return F.center_crop(read_shrunk(path, photo_side), [side, side])


def random_crop(photo: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return a random square of a (3, H, W) photo: (3, side, side), a view."""
    top, left = (int(torch.randint(length - side + 1, (), generator=generator)) for length in photo.shape[-2:])
    return photo[:, top : top + side, left : left + side]


def check_photos(paths: Sequence[Path], min_side: int = 1) -> tuple[list[Path], list[Skipped]]:
    """Decode every photo once, and part those that can be used from those that cannot; one warning names the latter.

    Args:
        paths: The photos.
        min_side: Smallest height and width in px.

    Raises:
        ValueError: If none can be used.
    """
    good, skipped = part_photos(paths, min_side)
    if not good:
        first = f"; the first: {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise ValueError(f"none of {len(paths)} photos can be used{first}")
    return good, skipped


def part_photos(paths: Sequence[Path], min_side: int = 1) -> tuple[list[Path], list[Skipped]]:
    """Return what :func:`check_photos` does, where it may be that none can be used."""
    good, skipped = [], []
    for path in track(paths, "check photos", "photos"):
        reason = _find_fault(path, min_side)
        if reason:
            skipped.append(Skipped(path, reason))
        else:
            good.append(path)
    if skipped:
        warnings.warn(_describe(skipped, len(paths)), stacklevel=3)
    return good, skipped


def _find_fault(path: Path, min_side: int) -> str | None:
    try:
        height, width = read_photo(path).shape[-2:]
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return str(error)
    if min(height, width) < min_side:
        return f"{width}x{height} px is smaller than {min_side} px"
    return None


def _describe(skipped: Sequence[Skipped], total: int) -> str:
    named = "; ".join(f"{entry.path}: {entry.reason}" for entry in skipped[:NAMED_IN_WARNING])
    more = len(skipped) - NAMED_IN_WARNING
    return f"skipped {len(skipped)} of {total} photos: {named}{f'; and {more} more' if more > 0 else ''}"


def photo_fingerprint(paths: Sequence[Path], hashes: Sequence[str] | None = None) -> str:
    """Return a hash of photos' names and contents.

    Args:
        paths: The photos.
        hashes: Their :func:`~dsmix_aug.nriqa.base.files.file_hash`, where it is known.
    """
    hashes = [file_hash(path) for path in paths] if hashes is None else hashes
    return fingerprint(*(f"{path.name} {content}" for path, content in zip(paths, hashes, strict=True)))


def write_png(image: Tensor, path: Path) -> None:
    """Write a (3, H, W) uint8 image as PNG, in one piece."""
    with replace_when_done(path) as temporary:
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(temporary, "PNG", compress_level=1)
