"""Distortions by noise: white in RGB or YCbCr, impulse, multiplicative, sensor noise, and the residue of denoising."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._color_spaces import delinearize_, linearize, rgb_to_ycbcr, ycbcr_to_rgb
from dsmix_aug.distortions._denoiser import denoise
from dsmix_aug.distortions._distortion import Draws, per_sample, register
from dsmix_aug.distortions._fields import FieldDistortion


class NoiseDistortion(FieldDistortion):
    """A distortion that adds, multiplies or sets random values, independent per pixel."""

    family = "noise"

    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        return self.add_noise(images, per_sample(values, images), [draw["seed"] for draw in draws])

    @abstractmethod
    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return images (N, C, H, W) with noise of ``values`` (N, 1, 1, 1), generated from ``seeds``."""


@register
class WhiteNoise(NoiseDistortion):
    r"""Add white Gaussian noise to RGB, independent per pixel and channel.

    .. math:: y = \text{clamp}(x + \sqrt{v} \, n, 0, 1), \quad n \sim N(0, 1)

    Source: KADIS-700k generator, ``imnoisegauss``. Deviation: none but the random stream.

    Example:
        >>> import torch
        >>> WhiteNoise()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "white_noise"
    parameter = "variance v"
    values = (0.001, 0.002, 0.003, 0.005, 0.01)

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        noise = _fields.normal_fields(seeds, images.shape[1:], images)
        return noise.mul_(values.sqrt()).add_(images).clamp_(0, 1)


@register
class WhiteNoiseColor(NoiseDistortion):
    r"""Add white Gaussian noise to Y, Cb and Cr, all three, in BT.601 studio range; clamped there and in RGB.

    .. math:: Y' = \text{clamp}(Y + \sqrt{v} \, n, 0, 1), \quad n \sim N(0, 1), \text{ and so for } Cb, Cr

    Source: KADIS-700k generator, ``imnoisecolorcomp``. Deviation: none but the random stream.

    Example:
        >>> import torch
        >>> WhiteNoiseColor()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "white_noise_color"
    parameter = "variance in each of Y, Cb and Cr, of range [0, 1]"
    values = (0.0001, 0.0005, 0.001, 0.002, 0.003)
    needs_color = True

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        noise = _fields.normal_fields(seeds, images.shape[1:], images)
        noisy = noise.mul_(values.sqrt()).add_(rgb_to_ycbcr(images)).clamp_(0, 1)
        return ycbcr_to_rgb(noisy).clamp_(0, 1)


@register
class ImpulseNoise(NoiseDistortion):
    r"""Set a random share d of the values to 0 or 1 (salt and pepper), each channel for itself: coloured specks.

    .. math::

        y = 0 \text{ where } u < d / 2, \quad y = 1 \text{ where } d / 2 \le u < d, \quad y = x \text{ elsewhere},
        \quad u \sim U[0, 1)

    Source: KADIS-700k generator, ``imnoiseimpulse``. Deviation: none but the random stream.

    Example:
        >>> import torch
        >>> ImpulseNoise()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "impulse_noise"
    parameter = "density d: expected share of the values, half of it 0 and half of it 1"
    values = (0.001, 0.005, 0.01, 0.02, 0.03)

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        uniform = _fields.uniform_fields(seeds, images.shape[1:], images)
        return torch.where(uniform < values, (uniform >= values / 2).to(images.dtype), images)


@register
class MultiplicativeNoise(NoiseDistortion):
    r"""Multiply by speckle noise, uniform with mean 0 and variance v per pixel and channel.

    .. math:: y = \text{clamp}(x + n x, 0, 1), \quad n \sim U[-\sqrt{3 v}, \sqrt{3 v}]

    Source: KADIS-700k generator, ``imnoisemultiplicative``. Deviation: none but the random stream.

    Example:
        >>> import torch
        >>> MultiplicativeNoise()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "multiplicative_noise"
    parameter = "variance v of n"
    values = (0.001, 0.005, 0.01, 0.02, 0.05)

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        width = (12 * values).sqrt()  # of a uniform distribution with that variance
        uniform = _fields.uniform_fields(seeds, images.shape[1:], images)
        return uniform.mul_(width).add_(1 - width / 2).mul_(images).clamp_(0, 1)


@register
class Denoise(NoiseDistortion):
    r"""Add white Gaussian noise and remove it again, each channel for itself.

    .. math:: y = \text{denoise}(\text{clamp}(x + \sqrt{v} \, n, 0, 1)), \quad n \sim N(0, 1)

    What is left: smoothed texture and, as the noise grows, coloured blotches and faded contrast.

    Source: KADIS-700k generator, ``imdenoise``. Deviation: the generator denoises by MATLAB's DnCNN network, whose
    weights are not free. The substitute is local Wiener shrinkage of undecimated Haar wavelets with known variance, in
    PSNR 0.1 dB below to 0.6 dB above total variation denoising (scikit-image) at its best weight.

    Example:
        >>> import torch
        >>> Denoise()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "denoise"
    parameter = "variance v of the noise before denoising"
    values = (0.01, 0.03, 0.05, 0.1, 0.15)

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        sigma = values.sqrt()
        noise = _fields.normal_fields(seeds, images.shape[1:], images)
        return denoise(noise.mul_(sigma).add_(images).clamp_(0, 1), sigma)


@register
class PoissonGaussianNoise(NoiseDistortion):
    r"""Add the noise of a sensor in linear light: a Poisson process of photons and the Gaussian noise of their readout.

    .. math:: y = \text{clamp}(a P(x / a) + N(0, b), 0, 1), \quad b = e^{1.20} a^{2.18}

    sRGB values are turned into linear light x and y back, each channel for itself. P is a Poisson count, so that the
    shot noise has variance a x.

    Source: the range of a and the line from a to b are those of real cameras in Brooks et al., "Unprocessing Images for
    Learned Raw Denoising", CVPR 2019; level 5 is the end of their range, each level before it about half as strong.
    Deviation: Brooks et al. add noise to raw sensor data, before white balance and colour correction, and take a normal
    distribution of the same variance for the Poisson one.

    Example:
        >>> import torch
        >>> PoissonGaussianNoise()(torch.rand(2, 3, 32, 48), level=[1, 5]).shape
        torch.Size([2, 3, 32, 48])
    """

    name = "poisson_gaussian_noise"
    parameter = "shot noise a: its variance per unit of linear light"
    values = (0.0008, 0.0015, 0.003, 0.006, 0.012)

    def add_noise(self, images: Tensor, values: Tensor, seeds: Sequence[int]) -> Tensor:
        photons = _fields.poisson_fields(seeds, linearize(images).div_(values))
        other_seeds = [seed ^ 1 for seed in seeds]  # so that readout and photons are independent
        readout = _fields.normal_fields(other_seeds, images.shape[1:], images)
        readout_deviation = values.pow(2.18 / 2).mul_(math.exp(1.20 / 2))
        return delinearize_(readout.mul_(readout_deviation).addcmul_(photons, values).clamp_(0, 1))
