"""Images, files and runs of scripts that tests are made of; ``from factories import ...`` works in every test."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).parents[1]


def random_images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Noise that uses the whole range of ``dtype``: float in [0, 1] or uint8."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=dtype)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def distorted_pair(
    batch_size: int = 4, channels: int = 3, height: int = 48, width: int = 64, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Images and references, (B, C, H, W), with a distortion of very different strength per sample."""
    references = random_images(batch_size, channels, height, width, seed=1)
    strength = torch.linspace(0.01, 0.5, max(batch_size, 1))[:batch_size].view(-1, 1, 1, 1)
    images = references + strength * (random_images(batch_size, channels, height, width, seed=2) - references)
    if dtype == torch.uint8:
        return (images * 255).round().to(dtype), (references * 255).round().to(dtype)
    return images.to(dtype), references.to(dtype)


def photo(height: int = 48, width: int = 64) -> Image.Image:
    """A smooth PIL photo in colour: gradients along both sides."""
    y, x = torch.linspace(0, 1, height).view(-1, 1), torch.linspace(0, 1, width)
    pixels = torch.stack([y.expand(height, width), x.expand(height, width), 1 - y * x], -1)
    return Image.fromarray((pixels * 255).to(torch.uint8).numpy())


def save_photo(path: Path, height: int = 48, width: int = 64) -> Path:
    """Write :func:`photo` to a file and return its path."""
    photo(height, width).save(path)
    return path


def run_script(script: str, *arguments: object) -> None:
    """Run a script, by its path in the repository, in this process, as from the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(ROOT / script), run_name="__main__")
