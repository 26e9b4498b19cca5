"""Distortions that KADID-10k did not ask about, as cameras and the web make them, with an estimate of their opinion.

Nobody scored these images. A full-reference metric is measured on each, and a curve leads from it to an opinion: the
monotone curve that fits KADID-10k's classes. ``docs/recipes/estimate_opinions.py`` makes such curves and measures their
error on types that were left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dsmix_aug import DistortionBank
from dsmix_aug.distortions import BEYOND, KADID_10K, DistortionParams
from dsmix_aug.nriqa.datasets.haarpsi import haarpsi

#: HaarPSI -> opinion, 1 (bad) to 5 (excellent): isotonic regression on the class means over 8 pristine photos of 256
#: px, smoothed: of the three types of blur, and of the eleven types of blur, compression and noise. Types that were
#: left out are off by 0.06 and 0.51 points (RMSE). A curve for compression only is not better.
HAARPSI_KNOTS = tuple(np.linspace(0.3, 1, 15).round(2).tolist())
CURVES = {
    "blur": (1.11, 1.17, 1.23, 1.30, 1.38, 1.47, 1.57, 1.71, 1.87, 2.06, 2.34, 2.73, 3.23, 3.92, 4.60),
    "any": (1.11, 1.20, 1.29, 1.34, 1.45, 1.61, 1.88, 2.07, 2.31, 2.71, 3.11, 3.23, 3.55, 4.08, 4.60),
}
#: The opinion of a picture that shows nothing.
WORST = 1.0


class Source(NamedTuple):
    """The distortions of an image, in order, and the kin whose curve gives its opinion."""

    steps: tuple[str, ...]
    kin: str


#: By name; each is drawn equally often, and so is a picture that shows nothing.
SOURCES = {
    "resized": Source(("resize",), "blur"),
    "resized_and_sharpened": Source(("resize", "high_sharpen"), "blur"),
    "webp": Source(("webp",), "any"),
    "avif": Source(("avif",), "any"),
    "streamed": Source(("resize", "avif"), "any"),
    "blurred_and_streamed": Source(("gaussian_blur", "webp"), "any"),
    "shared": Source(("jpeg", "resize", "jpeg"), "any"),
    "sensor_noise": Source(("poisson_gaussian_noise",), "any"),
    "camera": Source(("gaussian_blur", "poisson_gaussian_noise", "jpeg"), "any"),
}
NOTHING = "nothing"
NAMES = (*SOURCES, NOTHING)


class Estimated(NamedTuple):
    """``images``: (B, 3, H, W) uint8; ``opinions``: (B,) float32, estimates; ``names``: B of :data:`NAMES`."""

    images: Tensor
    opinions: Tensor
    names: list[str]


def estimate_opinions(values: Tensor, kin: str) -> Tensor:
    """Return the opinions that correspond to HaarPSI values, by the curve of a kin: one of :data:`CURVES`."""
    return torch.from_numpy(np.interp(values.numpy(), HAARPSI_KNOTS, CURVES[kin])).to(torch.float32)


class EstimatedDistortions:
    """Distorts each image of a batch as one of :data:`SOURCES`, drawn uniformly, or shows nothing in its place.

    Each step has a level from 1 to 5, or 0, which leaves it out: so some images stay pristine.

    Example:
        >>> import torch
        >>> from dsmix_aug.nriqa.datasets.estimated_opinions import EstimatedDistortions
        >>> photos = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
        >>> made = EstimatedDistortions()(photos, torch.Generator().manual_seed(0))
        >>> made.images.shape, made.opinions.shape
        (torch.Size([3, 3, 64, 64]), torch.Size([3]))
    """

    def __init__(self) -> None:
        self.bank = DistortionBank(KADID_10K + BEYOND)

    def __call__(self, references: Tensor, generator: torch.Generator) -> Estimated:
        """Distort (B, 3, H, W) uint8, at least 48 px high and wide."""
        names = [NAMES[_draw(len(NAMES), generator)] for _ in range(len(references))]
        images = self.bank.apply(references, [self._draw_steps(name, generator) for name in names])
        opinions = torch.full((len(names),), WORST)
        height, width = references.shape[-2:]
        for i in (i for i, name in enumerate(names) if name == NOTHING):
            images[i] = draw_nothing(height, width, generator)
        values = haarpsi(images, references)
        for kin in CURVES:
            members = [i for i, name in enumerate(names) if name != NOTHING and SOURCES[name].kin == kin]
            opinions[members] = estimate_opinions(values[members], kin)
        return Estimated(images, opinions, names)

    def _draw_steps(self, name: str, generator: torch.Generator) -> tuple[DistortionParams, ...]:
        if name == NOTHING:
            return ()
        steps = []
        for distortion in SOURCES[name].steps:
            level = _draw(6, generator)
            if level:
                steps.append(DistortionParams(distortion, level, self.bank[distortion].draw(generator)))
        return tuple(steps)


def draw_nothing(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return a picture that shows nothing, (3, H, W) uint8: one colour, noise, a checkerboard, stripes, a gradient."""
    pattern = _PATTERNS[_draw(len(_PATTERNS), generator)]
    share = pattern(height, width, generator).expand(3, height, width)
    colours = torch.rand(2, 3, 1, 1, generator=generator)
    if _draw(3, generator) == 0:
        colours = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)  # black and white
    return (colours[0] + share * (colours[1] - colours[0])).mul(255).round().to(torch.uint8)


def _one_colour(height: int, width: int, generator: torch.Generator) -> Tensor:
    return torch.full((1, height, width), float(torch.rand((), generator=generator)))


def _uniform_noise(height: int, width: int, generator: torch.Generator) -> Tensor:
    return torch.rand(_draw_channels(generator), height, width, generator=generator)


def _gaussian_noise(height: int, width: int, generator: torch.Generator) -> Tensor:
    deviation = 0.3 * float(torch.rand((), generator=generator))
    noise = torch.randn(_draw_channels(generator), height, width, generator=generator)
    return (0.5 + deviation * noise).clamp(0, 1)


def _checkerboard(height: int, width: int, generator: torch.Generator) -> Tensor:
    side = 2 ** _draw(7, generator)
    return ((torch.arange(height)[:, None] // side + torch.arange(width) // side) % 2)[None].float()


def _stripes(height: int, width: int, generator: torch.Generator) -> Tensor:
    side = 2 ** _draw(7, generator)
    if _draw(2, generator):
        return (torch.arange(height)[None, :, None] // side % 2).float()
    return (torch.arange(width)[None, None] // side % 2).float()


def _gradient(height: int, width: int, generator: torch.Generator) -> Tensor:
    if _draw(2, generator):
        return torch.linspace(0, 1, height)[None, :, None]
    return torch.linspace(0, 1, width)[None, None]


_PATTERNS: tuple[Callable[[int, int, torch.Generator], Tensor], ...] = (
    _one_colour,
    _uniform_noise,
    _gaussian_noise,
    _checkerboard,
    _stripes,
    _gradient,
)


def _draw_channels(generator: torch.Generator) -> int:
    return (1, 3)[_draw(2, generator)]


def _draw(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))
