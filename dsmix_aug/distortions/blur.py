"""Distortions of sharpness by blur: Gaussian, lens (out of focus) and motion blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from dsmix_aug.distortions._distortion import Distortion, Draws, register
from dsmix_aug.distortions._filters import Kernel, correlate, correlate_separable, gaussian_kernel, normalized


@register
class GaussianBlur(Distortion):
    r"""Blur every channel with a Gaussian cut at two sigma, border replicated.

    .. math:: y = x * g, \quad g_{uv} \propto \exp\left(-\frac{u^2 + v^2}{2 \sigma^2}\right), \quad
        |u|, |v| \le \lceil 2 \sigma \rceil

    Level 1 leaves the image as it is: at sigma 0.1 all weight lies on the centre pixel.

    Source: KADIS-700k generator, ``imblurgauss``. Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> GaussianBlur()(torch.rand(2, 3, 32, 48), level=[2, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "gaussian_blur"
    family = "blur"
    parameter = "sigma in px"
    values = (0.1, 0.5, 1, 2, 5)
    identity_levels = (1,)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return correlate_separable(images, [gaussian_kernel(sigma) for sigma in values])


@register
class LensBlur(Distortion):
    r"""Blur every channel with a disk (a lens out of focus), border replicated.

    .. math:: y = x * d, \quad d_{uv} \propto \text{the area of pixel } (u, v) \text{ inside } u^2 + v^2 \le r^2

    Source: KADIS-700k generator, ``imblurlens``. Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> LensBlur()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "lens_blur"
    family = "blur"
    parameter = "radius of the disk in px"
    values = (1, 2, 4, 6, 8)

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return correlate(images, [disk_kernel(radius) for radius in values])


@register
class MotionBlur(Distortion):
    """Blur every channel along a line of random direction, border replicated.

    The angle is a whole number of degrees from 0 to 180, counter-clockwise, both ends included, so that horizontal is
    drawn twice as often as any other direction. Level 1 leaves the image as it is: its line is one pixel long.

    Source: KADIS-700k generator, ``imblurmotion``. Deviation: none (1e-6 in float32).

    Example:
        >>> import torch
        >>> MotionBlur()(torch.rand(2, 3, 32, 48), level=[2, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "motion_blur"
    family = "blur"
    parameter = "length of the line in px"
    values = (1, 2, 4, 6, 10)
    identity_levels = (1,)

    def draw(self, generator: torch.Generator | None) -> Draws:
        return {"angle": int(torch.randint(0, 181, (), generator=generator, dtype=torch.int64, device="cpu"))}

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        kernels = [motion_kernel(length, draw["angle"]) for length, draw in zip(values, draws, strict=True)]
        return correlate(images, kernels)


@cache
def disk_kernel(radius: float) -> Kernel:
    """Return the (2 radius + 1)-sized kernel of a disk: the area of each pixel inside it, with sum 1.

    Source: MATLAB's ``fspecial('disk', radius)`` for whole radii.

    Example:
        >>> disk_kernel(1).round(4)
        array([[0.0251, 0.1453, 0.0251],
               [0.1453, 0.3183, 0.1453],
               [0.0251, 0.1453, 0.0251]])
    """
    edges = np.arange(-radius, radius + 2) - 0.5
    corner = _area_to_corner(edges[:, None], edges[None, :], radius)
    area = np.diff(np.diff(corner, axis=0), axis=1)
    return normalized(area.clip(min=0))  # pixels outside come out as ±1e-17


def _area_to_corner(x: Kernel, y: Kernel, radius: float) -> Kernel:
    """Area of the disk inside the rectangle from its centre to (x, y), negative in the second and fourth quadrant."""
    width, height = np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    flat = np.minimum(np.sqrt(radius**2 - height**2), width)  # so far the rectangle's top lies inside the disk

    def below_arc(t: Kernel) -> Kernel:
        return (t * np.sqrt(radius**2 - t**2) + radius**2 * np.arcsin(t / radius)) / 2

    return np.sign(x) * np.sign(y) * (height * flat + below_arc(width) - below_arc(flat))


@cache
def motion_kernel(length: float, angle: int) -> Kernel:
    """Return the kernel of a line of ``length`` px at ``angle`` degrees counter-clockwise, with sum 1.

    A pixel weighs one minus its distance from the line, where that is positive.

    Source: closed form of MATLAB's ``fspecial('motion', length, angle)``.

    Example:
        >>> motion_kernel(3, 0).round(4)
        array([[0.    , 0.    , 0.    ],
               [0.3333, 0.3333, 0.3333],
               [0.    , 0.    , 0.    ]])
    """
    half = (length - 1) / 2
    phi = math.radians(angle % 180)
    grid = np.arange(-math.ceil(half), math.ceil(half) + 1)
    x, y = grid[None, :], -grid[:, None]
    along = np.abs(x * math.cos(phi) + y * math.sin(phi))
    across = np.abs(y * math.cos(phi) - x * math.sin(phi))
    beyond_end = np.where(np.hypot(x, y) < half, 0.0, half - along)
    return normalized(np.maximum(0.0, 1 - np.hypot(across, beyond_end)))
