"""Reading a photo for a subcommand, at the size that is wanted."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from dsmix_aug.photos.reader import read_photo


def read_at_size(path: Path, size: tuple[int, int] | None) -> Tensor:
    """Read a photo as (3, H, W) uint8; with a size, shrink it to cover that width and height and crop its centre.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is smaller than the size.
    """
    # A JPEG is decoded at a half, a quarter or an eighth where that leaves twice of what is kept.
    photo = read_photo(path, reduced_to=None if size is None else 2 * max(size))
    if size is None:
        return photo
    (height, width), (wanted_width, wanted_height) = photo.shape[-2:], size
    if width < wanted_width or height < wanted_height:
        raise ValueError(f"{width}x{height} px is smaller than {wanted_width}x{wanted_height} px")
    return cover(photo, size)


def cover(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a photo to cover a width and height with its proportions kept, and crop its centre."""
    (height, width), (wanted_width, wanted_height) = photo.shape[-2:], size
    scale = max(wanted_width / width, wanted_height / height)
    resized = [max(wanted_height, round(height * scale)), max(wanted_width, round(width * scale))]
    if resized != [height, width]:
        photo = F.resize(photo, resized, interpolation=InterpolationMode.BICUBIC, antialias=True)
    return F.center_crop(photo, [wanted_height, wanted_width])
