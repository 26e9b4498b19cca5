"""Distortions that move or merge pixels and values: jitter, patches, pixelation, quantization, blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug._tensors import to_device
from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._cache import cache_sized_parts
from dsmix_aug.distortions._cubic import displace
from dsmix_aug.distortions._distortion import Distortion, Draws, register
from dsmix_aug.distortions._otsu import multi_otsu


@register
class Jitter(Distortion):
    """Move every pixel by a normally distributed random shift, five times over, with all channels together.

    Each pass samples by cubic convolution (a = -1/2) with replicated borders.

    Deviation: the generator turns the rare border pixels whose position leaves its padding to NaN (black when saved);
    here they are interpolated like any other.

    Source: KADIS-700k generator, ``imjitter``.

    Example:
        >>> import torch
        >>> Jitter()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "jitter"
    parameter = "standard deviation of the shift in px, per axis and pass"
    values = (0.05, 0.1, 0.2, 0.5, 1.0)

    PASSES = 5

    def draw(self, generator: torch.Generator | None) -> Draws:
        return {"seed": _fields.draw_seed(generator)}

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        seeds = [draw["seed"] for draw in draws]
        amounts = self.values_at(levels, images).unsqueeze(-1)
        jittered = torch.empty_like(images)
        for part in cache_sized_parts(images):
            shifts = _fields.normal_fields(seeds[part], (self.PASSES, 2, *images.shape[-2:]), images)
            jittered[part] = jitter(images[part], shifts.mul_(amounts[part]))
        return jittered


def jitter(images: Tensor, shifts: Tensor) -> Tensor:
    """Displace images (N, C, H, W) once for each of the passes in ``shifts`` (N, passes, 2, H, W), y before x."""
    pixels = images.permute(0, 2, 3, 1)
    for shift in shifts.unbind(1):
        pixels = displace(pixels, shift)
    return pixels.permute(0, 3, 1, 2)


@register
class NonEccentricityPatch(Distortion):
    """Copy patches of 16x16 px to places up to 8 px away, one after the other, each from the image as it is by then.

    The patches are as many for every image size; published for 512x384, on a 224x224 crop they lie 4 times as dense.

    Source: KADIS-700k generator, ``imnoneccentricity``. Deviation: none (bitwise).

    Example:
        >>> import torch
        >>> images = torch.rand(2, 3, 64, 80)
        >>> moved = NonEccentricityPatch()(images, level=[1, 5])
        >>> bool(torch.isin(moved, images).all())
        True
    """

    name = "non_eccentricity_patch"
    parameter = "number of patches"
    values = (20, 40, 60, 80, 100)
    min_size = 48  # patch + twice the margin of 16 px: the corner is drawn from 16 ... size - 32, counted from 1

    PATCH = 16

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw x, y and the shifts along x and y of as many patches as the strongest level needs, as uniforms."""
        return {"patches": torch.rand(max(self.values), 4, generator=generator).tolist()}

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        counts = [int(self.values[level - 1]) for level in levels]
        sources = [
            self._source_pixels(draw["patches"][:count], *images.shape[-2:])
            for count, draw in zip(counts, draws, strict=True)
        ]
        return take_pixels(images, to_device(np.stack(sources), images.device))

    def _source_pixels(self, patches: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
        """Return for each pixel, row by row, the index of the pixel that ends up there: (H * W,)."""
        size = self.PATCH
        uniforms = np.array(patches)
        room = np.array([width, height]) - 3 * size
        source = round_half_up(uniforms[:, :2] * room) + size  # counted from 1, like the target
        target = round_half_up((uniforms[:, 2:] - 0.5) * size + source)
        index = np.arange(height * width).reshape(height, width)
        for (x, y), (to_x, to_y) in zip((source - 1).tolist(), (target - 1).tolist(), strict=True):
            index[to_y : to_y + size, to_x : to_x + size] = index[y : y + size, x : x + size].copy()
        return index.reshape(-1)


@register
class Pixelate(Distortion):
    """Shrink by z = 0.95 - s^0.6 and enlarge to the old size again, both to the nearest pixel.

    Source: KADIS-700k generator, ``impixelate``; ``imresize``'s half-pixel centres and its size ceil(z * size).
    Deviation: none (bitwise).

    Example:
        >>> import torch
        >>> Pixelate()(torch.linspace(0, 0.7, 8).view(1, 1, 8), level=5).flatten()
        tensor([0.1000, 0.1000, 0.1000, 0.5000, 0.5000, 0.7000, 0.7000, 0.7000])
    """

    name = "pixelate"
    parameter = "strength s"
    values = (0.01, 0.05, 0.1, 0.2, 0.5)

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        height, width = images.shape[-2:]
        rows = to_device(np.stack([self._source_indices(level, height) for level in levels]), images.device)
        columns = to_device(np.stack([self._source_indices(level, width) for level in levels]), images.device)
        return take_pixels(images, (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1))

    def _source_indices(self, level: int, length: int) -> np.ndarray:
        """Return for each pixel along one axis the index of the pixel that it shows."""
        scale = 0.95 - self.values[level - 1] ** 0.6
        shrunk = math.ceil(scale * length)
        position = np.arange(length)
        coarse = (2 * position + 1) * shrunk // (2 * length)  # floor((position + 1/2) * shrunk / length), exactly
        return np.minimum(np.floor((coarse + 0.5) / scale).astype(np.int64), length - 1)


@register
class Quantization(Distortion):
    """Reduce all channels to a few common values, bounded by Otsu's thresholds of the sample's values.

    With thresholds t_1 < ... < t_n, x becomes 0 up to t_1, the upper bound t_k where t_(k-1) < x <= t_k, and 1 above
    t_n, so results are brighter than the image but for the lowest class. A sample of one value stays as it is.

    Source: KADIS-700k generator, ``imnoisequantize``; ``multithresh``'s 256 bins from minimum to maximum.

    Deviation: ``multithresh`` searches from evenly spaced thresholds, by a path that is not documented, and may stop
    short of the best ones that are taken here. From a simplex search as its stand-in, results differ by 4 to 10 of 255
    on average, the most at level 5 (``tests/distortions/test_spatial.py``; evenly spaced thresholds: 2 to 10).

    Example:
        >>> import torch
        >>> Quantization()(torch.rand(3, 32, 48), level=5).unique().numel()
        8
    """

    name = "quantization"
    parameter = "number of thresholds"
    values = (20, 16, 13, 10, 7)

    BINS = 256

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        counts = [int(self.values[level - 1]) for level in levels]
        parts = [self._quantize(images[part].flatten(1), counts[part]) for part in cache_sized_parts(images)]
        return torch.cat(parts).view(images.shape)

    def _quantize(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        """Quantize each row of values (N, C * H * W) by as many thresholds as ``counts`` says."""
        low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
        span = high - low
        top = self.BINS - 1
        # The bin is the lowest of the levels 0 ... 255 not below the value, so that x <= t holds just where bin <= t.
        bins = ((values - low) / span.masked_fill(span == 0, 1)).mul_(top).ceil_().clamp_(max=top).long()
        one = torch.ones((), dtype=torch.int32, device=values.device)
        histograms = one.new_zeros(len(values), self.BINS).scatter_add_(1, bins, one.expand_as(bins))
        thresholds = multi_otsu(histograms, counts)

        # What each class shows: its upper bound, but 0 in the lowest class and 1 in the topmost.
        shown = thresholds[:, 1:].to(values.dtype) / top * span + low
        shown = F.pad(shown, (1, 1)).scatter_(1, to_device(counts, values.device).view(-1, 1), 1.0)
        class_of_bin = (thresholds.unsqueeze(2) < torch.arange(self.BINS, device=values.device)).sum(1)
        table = torch.where(span == 0, low, shown.gather(1, class_of_bin))
        return table.gather(1, bins)


@register
class ColorBlock(Distortion):
    """Cover the image with opaque blocks of 32x32 px in random colours, later ones over earlier ones.

    Positions are counted from 1 as in the generator and rounded, so a block may start one pixel outside the image at
    the top and left. One-channel images take the first value of each colour. The blocks are as many for every image
    size: 10 blocks are 5 % of a 512x384 image and 20 % of a 224x224 crop.

    Deviation: how the generator's ``insertShape`` rounds a position is not documented; half up is taken here. The
    other ways move a block by at most 1 px.

    Source: KADIS-700k generator, ``imcolorblock``.

    Example:
        >>> import torch
        >>> covered = ColorBlock()(torch.zeros(3, 64, 64), level=2)
        >>> len(covered.flatten(1).unique(dim=1).T)  # four colours and black
        5
    """

    name = "color_block"
    parameter = "number of blocks"
    values = (2, 4, 6, 8, 10)
    min_size = 32  # the position is drawn from 0 ... size - 32

    BLOCK = 32

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw x, y, red, green and blue of as many blocks as the strongest level needs, as uniforms."""
        return {"blocks": torch.rand(max(self.values), 5, generator=generator).tolist()}

    def distort(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        channels, height, width = images.shape[1:]
        blocks = np.array([draw["blocks"] for draw in draws])
        colors = to_device(blocks[:, :, 2 : 2 + channels], images.device, images.dtype)
        room = np.array([width, height]) - self.BLOCK
        corners = (round_half_up(blocks[:, :, :2] * room) - 1).tolist()
        covered = images.clone()
        for sample, level in enumerate(levels):
            count = int(self.values[level - 1])
            for (x, y), color in zip(corners[sample][:count], colors[sample, :count], strict=True):
                covered[sample, :, max(y, 0) : y + self.BLOCK, max(x, 0) : x + self.BLOCK] = color.view(-1, 1, 1)
        return covered


def round_half_up(values: np.ndarray) -> np.ndarray:
    """Round as MATLAB does for positive values; NumPy rounds halves to even."""
    return np.floor(values + 0.5).astype(np.int64)


def take_pixels(images: Tensor, index: Tensor) -> Tensor:
    """Return images (N, C, H, W) whose pixels are those of ``images`` at the flat positions ``index`` (N, H * W)."""
    pixels = images.flatten(2)
    return pixels.gather(2, index.unsqueeze(1).expand_as(pixels)).view(images.shape)
