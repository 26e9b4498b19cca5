"""Distortions that move or merge pixels and values: jitter, patches, pixelation, quantization, blocks, resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug._resize import interpolate
from dsmix_aug._tensors import to_device
from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._cubic import displace
from dsmix_aug.distortions._distortion import Distortion, Draws, by_group, per_sample, register
from dsmix_aug.distortions._fields import FieldDistortion
from dsmix_aug.distortions._otsu import multi_otsu


@register
class Jitter(FieldDistortion):
    r"""Move every pixel by a normally distributed random shift, five times over, with all channels together.

    .. math:: y(p) = x(p + \sigma n_p), \quad n_p \sim N(0, I), \quad \text{five times}

    Each pass samples by cubic convolution (a = -1/2) with replicated borders.

    Source: KADIS-700k generator, ``imjitter``.

    Deviation: the generator turns the rare border pixels whose position leaves its padding to NaN (black when saved);
    here they are interpolated like any other.

    Example:
        >>> import torch
        >>> Jitter()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "jitter"
    family = "spatial"
    parameter = "standard deviation sigma of the shift in px, per axis and pass"
    values = (0.05, 0.1, 0.2, 0.5, 1.0)

    PASSES = 5

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        seeds = [draw["seed"] for draw in draws]
        shifts = _fields.normal_fields(seeds, (self.PASSES, 2, *images.shape[-2:]), images)
        return jitter(images, shifts.mul_(per_sample(values, images).unsqueeze(-1)))


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
    family = "spatial"
    parameter = "number of patches"
    values = (20, 40, 60, 80, 100)
    one_at_a_time = True
    min_size = 48  # patch + twice the margin of 16 px: the corner is drawn from 16 ... size - 32, counted from 1

    PATCH = 16

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw x, y and the shifts along x and y of as many patches as the strongest level needs, as uniforms."""
        return {"patches": _fields.draw_uniforms((max(self.values), 4), generator)}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        height, width = images.shape[-2:]
        patches = [draw["patches"][: int(count)] for count, draw in zip(values, draws, strict=True)]
        if images.device.type == "cpu":
            moved = images.clone()
            for image, uniforms in zip(moved.numpy(), patches, strict=True):
                self._copy_patches(image, uniforms)
            return moved
        sources = np.tile(np.arange(height * width).reshape(height, width), (len(images), 1, 1))
        for index, uniforms in zip(sources, patches, strict=True):
            self._copy_patches(index, uniforms)
        return take_pixels(images, to_device(sources, images.device).flatten(1))

    def _copy_patches(self, image: np.ndarray, uniforms: Sequence[Sequence[float]]) -> None:
        """Copy patches of an image (..., H, W) in place, one after the other."""
        size = self.PATCH
        drawn = np.array(uniforms)
        room = np.array(image.shape[:-3:-1]) - 3 * size
        source = round_half_up(drawn[:, :2] * room) + size  # counted from 1, like the target
        target = round_half_up((drawn[:, 2:] - 0.5) * size + source)
        for (x, y), (to_x, to_y) in zip((source - 1).tolist(), (target - 1).tolist(), strict=True):
            # Where both overlap, NumPy copies as if they did not.
            image[..., to_y : to_y + size, to_x : to_x + size] = image[..., y : y + size, x : x + size]


@register
class Pixelate(Distortion):
    r"""Shrink by a factor z and enlarge to the old size again, both to the nearest pixel.

    .. math:: z = 0.95 - s^{0.6}

    Source: KADIS-700k generator, ``impixelate``; ``imresize``'s half-pixel centres and its size ceil(z * size).
    Deviation: none (bitwise).

    Example:
        >>> import torch
        >>> Pixelate()(torch.linspace(0, 0.7, 8).view(1, 1, 8), level=5).flatten()
        tensor([0.1000, 0.1000, 0.1000, 0.5000, 0.5000, 0.7000, 0.7000, 0.7000])
    """

    name = "pixelate"
    family = "spatial"
    parameter = "strength s"
    values = (0.01, 0.05, 0.1, 0.2, 0.5)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        height, width = images.shape[-2:]
        rows = to_device(np.stack([_shown_pixels(strength, height) for strength in values]), images.device)
        columns = to_device(np.stack([_shown_pixels(strength, width) for strength in values]), images.device)
        return take_pixels(images, (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1))


def _shown_pixels(strength: float, length: int) -> np.ndarray:
    """Return for each pixel along one axis of a pixelated image the index of the pixel that it shows."""
    scale = 0.95 - strength**0.6
    shrunk = math.ceil(scale * length)
    coarse = nearest_pixels(shrunk, length)
    return np.minimum(np.floor((coarse + 0.5) / scale).astype(np.int64), length - 1)


@register
class Quantization(Distortion):
    r"""Reduce all channels to a few common values, bounded by Otsu's thresholds of the sample's values.

    .. math::

        y = 0 \text{ where } x \le t_1, \quad y = t_k \text{ where } t_{k-1} < x \le t_k, \quad
        y = 1 \text{ where } x > t_n

    So results are brighter than the image but for the lowest class. A sample of one value stays as it is.

    Source: KADIS-700k generator, ``imnoisequantize``; ``multithresh``'s 256 bins from minimum to maximum.

    Deviation: ``multithresh`` searches from evenly spaced thresholds, by a path that is not documented, and may stop
    short of the best ones that are taken here. Compared with a simplex search in its place, results differ by 4 to
    10 of 255 on average, the most at level 5 (``tests/distortions/test_spatial.py``; evenly spaced thresholds: 2 to
    10).

    Example:
        >>> import torch
        >>> Quantization()(torch.rand(3, 32, 48), level=5).unique().numel()
        8
    """

    name = "quantization"
    family = "spatial"
    parameter = "number n of thresholds"
    values = (20, 16, 13, 10, 7)
    one_at_a_time = True

    BINS = 256

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return self._quantize(images.flatten(1), [int(count) for count in values]).view(images.shape)

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

        # The value of each class: its upper bound, but 0 in the lowest class and 1 in the topmost.
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

    Source: KADIS-700k generator, ``imcolorblock``.

    Deviation: how the generator's ``insertShape`` rounds a position is not documented; half up is taken here. The
    other ways move a block by at most 1 px.

    Example:
        >>> import torch
        >>> covered = ColorBlock()(torch.zeros(3, 64, 64), level=2)
        >>> len(covered.flatten(1).unique(dim=1).T)  # four colours and black
        5
    """

    name = "color_block"
    family = "spatial"
    parameter = "number of blocks"
    values = (2, 4, 6, 8, 10)
    min_size = 32  # the position is drawn from 0 ... size - 32

    BLOCK = 32

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw x, y, red, green and blue of as many blocks as the strongest level needs, as uniforms."""
        return {"blocks": _fields.draw_uniforms((max(self.values), 5), generator)}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        channels, height, width = images.shape[1:]
        blocks = np.array([draw["blocks"] for draw in draws])
        colors = to_device(blocks[:, :, 2 : 2 + channels], images.device, images.dtype)
        room = np.array([width, height]) - self.BLOCK
        corners = (round_half_up(blocks[:, :, :2] * room) - 1).tolist()
        covered = images.clone()
        for sample, count in enumerate(map(int, values)):
            for (x, y), color in zip(corners[sample][:count], colors[sample, :count], strict=True):
                covered[sample, :, max(y, 0) : y + self.BLOCK, max(x, 0) : x + self.BLOCK] = color.view(-1, 1, 1)
        return covered


@register
class Resize(Distortion):
    """Shrink to a fraction of the size and enlarge again, both by one of four kernels that is drawn per sample.

    ``bicubic`` (a = -1/2) and ``bilinear`` are widened as they shrink, so that they blur and do not alias. ``area``
    averages all pixels that a target pixel touches, ``nearest`` takes the pixel at its centre.

    Source: the kernels ``area``, ``bilinear`` and ``bicubic`` and the least scale are those of Real-ESRGAN (Wang et
    al., ICCV Workshops 2021); ``nearest`` and the scales above it are our choice. Deviation: Real-ESRGAN does not widen
    its kernels, draws the scale from a range and enlarges by a kernel of its own draw.

    Example:
        >>> import torch
        >>> Resize()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "resize"
    family = "spatial"
    parameter = "scale of the shrunk image"
    values = (0.75, 0.5, 0.35, 0.25, 0.15)
    one_at_a_time = True

    KERNELS = ("bicubic", "bilinear", "area", "nearest")

    def draw(self, generator: torch.Generator | None) -> Draws:
        kernel = torch.randint(len(self.KERNELS), (), generator=generator, dtype=torch.int64, device="cpu")
        return {"kernel": self.KERNELS[int(kernel)]}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        settings = [(scale, draw["kernel"]) for scale, draw in zip(values, draws, strict=True)]
        return by_group(images, settings, lambda group, members: _shrink_and_enlarge(group, *settings[members[0]]))


def _shrink_and_enlarge(images: Tensor, scale: float, kernel: str) -> Tensor:
    height, width = images.shape[-2:]
    shrunk_size = [max(1, math.floor(scale * side + 0.5)) for side in (height, width)]
    if kernel == "nearest":  # torch's "nearest-exact" rounds where a centre falls between two pixels
        rows, columns = (
            to_device(nearest_pixels(side, shrunk)[nearest_pixels(shrunk, side)], images.device)
            for side, shrunk in zip((height, width), shrunk_size, strict=True)
        )
        return images.index_select(-2, rows).index_select(-1, columns)
    if kernel == "area":
        return F.interpolate(F.interpolate(images, shrunk_size, mode=kernel), [height, width], mode=kernel)
    return interpolate(interpolate(images, shrunk_size, kernel), [height, width], kernel)


def nearest_pixels(length: int, target: int) -> np.ndarray:
    """Return for each of ``target`` pixels the one of ``length`` pixels at its centre, between two the later one."""
    return (2 * np.arange(target) + 1) * length // (2 * target)


def round_half_up(values: np.ndarray) -> np.ndarray:
    """Round as MATLAB does for positive values; NumPy rounds halves to even."""
    return np.floor(values + 0.5).astype(np.int64)


def take_pixels(images: Tensor, index: Tensor) -> Tensor:
    """Return images (N, C, H, W) whose pixels are those of ``images`` at the flat positions ``index`` (N, H * W)."""
    pixels = images.flatten(2)
    return pixels.gather(2, index.unsqueeze(1).expand_as(pixels)).view(images.shape)
