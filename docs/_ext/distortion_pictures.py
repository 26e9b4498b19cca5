"""Pictures of a distortion at all its levels, for its section in the documentation."""

from pathlib import Path

import PIL.Image
import skimage.data
import torch
from torch import Tensor

from dsmix_aug.distortions import Distortion

#: Of the size that the parameters are meant for. What is shown is a part of it, pixel by pixel.
PHOTO = torch.from_numpy(skimage.data.astronaut()[:384]).permute(2, 0, 1)
TOP, LEFT, HEIGHT, WIDTH = 10, 120, 192, 256


def write(distortion: Distortion, folder: Path) -> None:
    """Write ``photo.webp`` and ``NAME-LEVEL.webp`` for each level."""
    folder.mkdir(exist_ok=True)
    levels = torch.arange(1, len(distortion.values) + 1)
    generator = torch.Generator().manual_seed(3)
    distorted = distortion(PHOTO.expand(len(levels), -1, -1, -1), levels, generator=generator)
    save(PHOTO, folder / "photo.webp")
    for level, image in zip(levels.tolist(), distorted, strict=True):
        save(image, folder / f"{distortion.name}-{level}.webp")


def save(image: Tensor, path: Path) -> None:
    """Write the part of an image (3, H, W) that is shown."""
    part = image[:, TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH].permute(1, 2, 0).contiguous().numpy()
    PIL.Image.fromarray(part).save(path, quality=90)
