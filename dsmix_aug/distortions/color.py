"""Distortions of colour: diffusion, shift, quantisation, saturation in HSV and in L*a*b*."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._color_spaces import lab_to_rgb, rgb_to_lab
from dsmix_aug.distortions._distortion import Distortion, Draws, from_working_dtype, per_sample, register, stretch_range
from dsmix_aug.distortions._filters import correlate_separable, gaussian_kernel
from dsmix_aug.distortions._palette import dither, fit_palette


@register
class ColorDiffusion(Distortion):
    r"""Blur the colours and exaggerate them: a* and b* are blurred with sigma 1.5 A + 2 px and multiplied by A.

    .. math:: L' = L, \quad a' = A \, (a * g_{1.5 A + 2}), \quad b' = A \, (b * g_{1.5 A + 2})

    The lightness L* stays; colours out of the sRGB gamut, most of them from level 2 on, are clamped in RGB.

    Source: KADIS-700k generator, ``imcolordiffuse``. Deviation: MATLAB's matrix from RGB to XYZ is not published.
    Another one, scikit-image's, moves level 5 of a photo by less than 0.006 anywhere and 5e-5 on average
    (``tests/distortions/test_color.py``).

    Example:
        >>> import torch
        >>> ColorDiffusion()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "color_diffusion"
    family = "color"
    parameter = "amount A"
    values = (1, 3, 6, 8, 12)
    needs_color = True
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        kernels = [gaussian_kernel(1.5 * amount + 2) for amount in values]
        lab = rgb_to_lab(images)
        lab[:, 1:] = correlate_separable(lab[:, 1:], kernels).mul_(per_sample(values, images))
        return lab_to_rgb(lab).clamp_(0, 1)


@register
class ColorShift(Distortion):
    r"""Shift the green channel by A px down and right, where the image has edges (a misregistered colour plane).

    .. math:: G'(p) = (1 - m(p)) \, G(p) + m(p) \, G(p - A d), \quad \|d\| = 1, \quad m \text{ the map of edges}

    The direction is that of a uniform point of the unit square, so always in the quadrant down and right, and the
    shift is rounded to whole pixels. A map of edges, from 0 in flat regions to 1, blends the shifted green channel
    with the original one. Pixels are repeated at the border, not wrapped around.

    Source: KADIS-700k generator, ``imcolorshift``. Deviation: none (1e-5 in float32).

    Example:
        >>> import torch
        >>> ColorShift()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "color_shift"
    family = "color"
    parameter = "shift A in px"
    values = (1, 3, 6, 8, 12)
    needs_color = True
    min_size = 2  # a gradient takes two pixels

    def draw(self, generator: torch.Generator | None) -> Draws:
        return {"direction": tuple(_fields.draw_uniforms((2,), generator))}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        shifts = [_whole_shift(draw["direction"], length) for length, draw in zip(values, draws, strict=True)]
        green = images[:, 1]
        shifted = images.clone()
        torch.lerp(green, _shift_planes(green, shifts), _edge_map(images), out=shifted[:, 1])
        return shifted


def _whole_shift(direction: tuple[float, float], length: float) -> tuple[int, int]:
    """Scale a direction (down, right) to ``length`` px and round half up."""
    scale = length / (math.hypot(*direction) or 1.0)
    return math.floor(direction[0] * scale + 0.5), math.floor(direction[1] * scale + 0.5)


def _shift_planes(planes: Tensor, shifts: Sequence[tuple[int, int]]) -> Tensor:
    """Shift each of (N, H, W) planes by its (down, right) px, the first row and column repeated."""
    height, width = planes.shape[1:]
    shifted = [
        F.pad(plane, (right, 0, down, 0), mode="replicate")[:, :height, :width]
        for plane, (down, right) in zip(planes.split(1), shifts, strict=True)
    ]
    return torch.cat(shifted)


def _edge_map(images: Tensor) -> Tensor:
    """Return how much of an edge is at each pixel, (N, H, W): mostly 0 in flat regions and 1 on strong edges."""
    red, green, blue = images.unbind(1)
    grey = (red * 0.298936).add_(green, alpha=0.587043).add_(blue, alpha=0.114021)
    down, right = torch.gradient(grey, dim=(1, 2))
    edges = down.square_().addcmul_(right, right).sqrt_()[:, None]
    edges = correlate_separable(edges, [gaussian_kernel(4.0)] * len(images))
    edges = stretch_range(stretch_range(edges).clamp_(0.1, 1))
    values = edges.flatten(1)
    count = values.shape[1]
    rank = max(math.floor(0.99 * count + 0.5), 1)
    high, low = values.kthvalue(rank).values, values.kthvalue(count + 1 - rank).values
    return stretch_range(edges.clamp_(low.view(-1, 1, 1, 1), high.view(-1, 1, 1, 1)))[:, 0]


@register
class ColorQuantization(Distortion):
    """Reduce the colours of each sample to a palette of its own, with Floyd-Steinberg dithering.

    Palette and dither are made on the host, image by image, from the pixels rounded to 8 bits (the dither by Pillow):
    CUDA tensors are copied there and back.

    Source: KADIS-700k generator, ``imcolorquantize``.

    Deviation: how MATLAB's ``rgb2ind`` splits the colours is not published. The squared error of the palettes here is
    0.3 to 0.9 times that of Pillow's median cut, and 0.5 to 1.1 times that after three rounds of k-means. MATLAB
    dithers by a lookup of 5 bits per channel; here, mean colours of 16x16 px are within 2 of 255 of those of a plain
    Floyd-Steinberg loop (both: ``tests/distortions/test_palette.py``).

    Example:
        >>> import torch
        >>> quantized = ColorQuantization()(torch.rand(3, 32, 48), level=5)
        >>> len(quantized.flatten(1).unique(dim=1).T)
        8
    """

    name = "color_quantization"
    family = "color"
    parameter = "number of colours"
    values = (64, 48, 32, 16, 8)
    needs_color = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        on_host = from_working_dtype(images, torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
        quantized = torch.empty_like(images, device="cpu")
        for image, num_colors, out in zip(on_host, values, quantized, strict=True):
            palette = fit_palette(image, int(num_colors))
            colors = torch.from_numpy(palette.T.take(dither(image, palette), axis=1))
            out.copy_(colors.div_(255))
        return quantized.to(images.device)


@register
class ColorSaturationHSV(Distortion):
    r"""Multiply the saturation in HSV by f, hue and value kept.

    .. math:: y_c = M - f \, (M - x_c), \quad M = \max_c x_c

    Level 4 leaves grey; level 5 turns colours to their complement and reaches up to 1.4, which ``range_mode="clip"``
    clamps and ``"kadis"`` compresses.

    Source: KADIS-700k generator, ``imcolorsaturate``. Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> ColorSaturationHSV()(torch.tensor([0.5, 0.2, 0.4]).view(3, 1, 1), level=4).flatten()
        tensor([0.5000, 0.5000, 0.5000])
    """

    name = "color_saturation_hsv"
    family = "color"
    parameter = "factor f of the saturation"
    values = (0.4, 0.2, 0.1, 0, -0.4)
    needs_color = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        largest = images.amax(1, keepdim=True)
        return torch.lerp(largest, images, per_sample(values, images))


@register
class ColorSaturationLab(Distortion):
    r"""Multiply a* and b* by a factor f and clamp in RGB: colours that are too strong, at the same lightness L*.

    .. math:: L' = L, \quad a' = f a, \quad b' = f b

    Level 1 leaves the image as it is.

    Source: KADIS-700k generator, ``imsaturate``. Deviation: MATLAB's matrix from RGB to XYZ is not published. Another
    one, scikit-image's, moves level 5 of a photo by less than 0.011 anywhere and 5e-5 on average
    (``tests/distortions/test_color.py``).

    Example:
        >>> import torch
        >>> ColorSaturationLab()(torch.rand(2, 3, 32, 48), level=[2, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "color_saturation_lab"
    family = "color"
    parameter = "factor f of a* and b*"
    values = (1, 2, 3, 6, 9)
    identity_levels = (1,)
    needs_color = True
    one_at_a_time = True

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        lab = rgb_to_lab(images)
        lab[:, 1:] *= per_sample(values, images)
        return lab_to_rgb(lab).clamp_(0, 1)
