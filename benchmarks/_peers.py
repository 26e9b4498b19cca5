"""Distortions of other libraries that come near to a type of the bank, for `bench_bank`.

They are near in kind, not equal in maths: parameters are those of the bank's levels where the library takes them. Each
library gets the images that it is made for: a float32 or uint8 batch, or one uint8 array (H, W, C) after the other.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: The input that a library expects: ``"float32"`` or ``"uint8"`` (B, C, H, W), or ``"arrays"``: B of (H, W, C).
Batches = dict[str, Any]


class Peer(NamedTuple):
    """A library's distortion: the bank's type that it comes near to, its name, and what to call at a level."""

    type: str
    call: str
    images: str
    at_level: Callable[[int], Callable[[Any], object]]


Values = Callable[[str, int], float]


def torchvision_peers(values: Values) -> list[Peer]:
    """Return torchvision's own, on batches."""
    from torchvision.transforms.v2 import functional as F

    def blur(level: int) -> Callable[[Tensor], Tensor]:
        sigma = values("gaussian_blur", level)
        return lambda x: F.gaussian_blur(x, [2 * math.ceil(2 * sigma) + 1] * 2, [sigma] * 2)

    def jpeg(level: int) -> Callable[[Tensor], object]:
        quality = int(values("jpeg", level))
        return lambda x: [F.jpeg(image, quality) for image in x]

    return [
        Peer("gaussian_blur", "gaussian_blur", "float32", blur),
        Peer("jpeg", "jpeg", "uint8", jpeg),
        Peer("white_noise", "gaussian_noise", "float32", lambda i: lambda x: F.gaussian_noise(x, 0, 0.03 * i)),
        Peer("mean_shift", "adjust_brightness", "float32", lambda i: lambda x: F.adjust_brightness(x, 1 + 0.1 * i)),
        Peer("contrast_change", "adjust_contrast", "float32", lambda i: lambda x: F.adjust_contrast(x, 1 + 0.1 * i)),
        Peer("color_saturation_hsv", "adjust_saturation", "float32", lambda i: lambda x: F.adjust_saturation(x, i / 5)),
        Peer("high_sharpen", "adjust_sharpness", "float32", lambda i: lambda x: F.adjust_sharpness(x, float(i))),
        Peer("quantization", "posterize", "uint8", lambda i: lambda x: F.posterize(x, 6 - i)),
    ]


def kornia_peers(values: Values) -> list[Peer]:
    """Return kornia's, on float32 batches."""
    import kornia

    def blur(level: int) -> Callable[[Tensor], Tensor]:
        sigma = values("gaussian_blur", level)
        size = 2 * math.ceil(2 * sigma) + 1
        return lambda x: kornia.filters.gaussian_blur2d(x, (size, size), (sigma, sigma), "replicate")

    def motion(level: int) -> Callable[[Tensor], Tensor]:
        size = max(3, int(values("motion_blur", level)) // 2 * 2 + 1)
        return lambda x: kornia.filters.motion_blur(x, size, 30.0, 0.0, "replicate")

    def jpeg(level: int) -> Callable[[Tensor], Tensor]:
        quality = torch.tensor([values("jpeg", level)])
        return lambda x: kornia.enhance.jpeg_codec_differentiable(x, quality.expand(len(x)))

    def lab(level: int) -> Callable[[Tensor], Tensor]:
        factor = values("color_saturation_lab", level)
        gain = torch.tensor([1.0, factor, factor]).view(3, 1, 1)
        return lambda x: kornia.color.lab_to_rgb(kornia.color.rgb_to_lab(x) * gain)

    def noise(level: int) -> Callable[[Tensor], Tensor]:
        return kornia.augmentation.RandomGaussianNoise(std=values("white_noise", level) ** 0.5, p=1.0)

    def impulse(level: int) -> Callable[[Tensor], Tensor]:
        return kornia.augmentation.RandomSaltAndPepperNoise(amount=values("impulse_noise", level), p=1.0)

    def sharpen(level: int) -> Callable[[Tensor], Tensor]:
        return lambda x: kornia.filters.unsharp_mask(x, (13, 13), (3.0, 3.0))

    enhance = kornia.enhance

    def saturate(level: int) -> Callable[[Tensor], Tensor]:
        return lambda x: enhance.adjust_saturation(x, level / 5)

    def contrast(level: int) -> Callable[[Tensor], Tensor]:
        return lambda x: enhance.adjust_contrast(x, 1 + 0.1 * level)

    return [
        Peer("gaussian_blur", "gaussian_blur2d", "float32", blur),
        Peer("motion_blur", "motion_blur", "float32", motion),
        Peer("color_saturation_hsv", "adjust_saturation", "float32", saturate),
        Peer("color_saturation_lab", "rgb_to_lab, lab_to_rgb", "float32", lab),
        Peer("jpeg", "jpeg_codec_differentiable", "float32", jpeg),
        Peer("white_noise", "RandomGaussianNoise", "float32", noise),
        Peer("impulse_noise", "RandomSaltAndPepperNoise", "float32", impulse),
        Peer("mean_shift", "adjust_brightness", "float32", lambda i: lambda x: enhance.adjust_brightness(x, 0.03 * i)),
        Peer("quantization", "posterize", "float32", lambda i: lambda x: enhance.posterize(x, 6 - i)),
        Peer("high_sharpen", "unsharp_mask", "float32", sharpen),
        Peer("contrast_change", "adjust_contrast", "float32", contrast),
    ]


def albumentations_peers(values: Values) -> list[Peer]:
    """Return albumentations', on single arrays."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or importing it asks the network for a newer version
    import albumentations as A

    def each(transform: Callable[[int], Any]) -> Callable[[int], Callable[[Sequence[npt.NDArray[np.uint8]]], object]]:
        def at_level(level: int) -> Callable[[Sequence[npt.NDArray[np.uint8]]], object]:
            built = transform(level)
            return lambda images: [built(image=image)["image"] for image in images]

        return at_level

    def gaussian(level: int) -> Any:
        sigma = values("gaussian_blur", level)
        return A.GaussianBlur(blur_limit=(2 * math.ceil(2 * sigma) + 1,) * 2, sigma_limit=(sigma, sigma), p=1)

    def defocus(level: int) -> Any:
        return A.Defocus(radius=(int(values("lens_blur", level)),) * 2, p=1)

    def motion(level: int) -> Any:
        return A.MotionBlur(blur_limit=(max(3, int(values("motion_blur", level)) // 2 * 2 + 1),) * 2, p=1)

    def jpeg(level: int) -> Any:
        return A.ImageCompression(quality_range=(int(values("jpeg", level)),) * 2, p=1)

    def noise(level: int) -> Any:
        return A.GaussNoise(std_range=(values("white_noise", level) ** 0.5,) * 2, p=1)

    def impulse(level: int) -> Any:
        return A.SaltAndPepper(amount=(values("impulse_noise", level),) * 2, salt_vs_pepper=(0.5, 0.5), p=1)

    def speckle(level: int) -> Any:
        width = (3 * values("multiplicative_noise", level)) ** 0.5
        return A.MultiplicativeNoise(multiplier=(1 - width, 1 + width), elementwise=True, per_channel=True, p=1)

    def blocks(level: int) -> Any:
        count = int(values("color_block", level))
        size = (32, 32)
        return A.CoarseDropout((count, count), size, size, fill="random", p=1)

    def sharpen(level: int) -> Any:
        return A.UnsharpMask((13, 13), (3, 3), (0.2 * level,) * 2, p=1)

    def shift(level: int) -> Any:
        return A.RandomBrightnessContrast((0.03 * level,) * 2, (0, 0), p=1)

    def contrast(level: int) -> Any:
        return A.RandomBrightnessContrast((0, 0), (0.1 * level,) * 2, p=1)

    return [
        Peer("gaussian_blur", "GaussianBlur", "arrays", each(gaussian)),
        Peer("lens_blur", "Defocus", "arrays", each(defocus)),
        Peer("motion_blur", "MotionBlur", "arrays", each(motion)),
        Peer(
            "color_saturation_hsv",
            "HueSaturationValue",
            "arrays",
            each(lambda i: A.HueSaturationValue((0, 0), (-20 * i,) * 2, (0, 0), p=1)),
        ),
        Peer("jpeg", "ImageCompression", "arrays", each(jpeg)),
        Peer("white_noise", "GaussNoise", "arrays", each(noise)),
        Peer("impulse_noise", "SaltAndPepper", "arrays", each(impulse)),
        Peer("multiplicative_noise", "MultiplicativeNoise", "arrays", each(speckle)),
        Peer("mean_shift", "RandomBrightnessContrast", "arrays", each(shift)),
        Peer("pixelate", "Downscale", "arrays", each(lambda i: A.Downscale((1 / (1 + i),) * 2, p=1))),
        Peer("quantization", "Posterize", "arrays", each(lambda i: A.Posterize(6 - i, p=1))),
        Peer("color_block", "CoarseDropout", "arrays", each(blocks)),
        Peer("high_sharpen", "UnsharpMask", "arrays", each(sharpen)),
        Peer("contrast_change", "RandomBrightnessContrast", "arrays", each(contrast)),
    ]


def imagecorruptions_peers(values: Values) -> list[Peer]:
    """Return imagecorruptions', on single arrays; its severities 1 to 5 are its own."""
    if importlib.util.find_spec("pkg_resources") is None:
        # The library asks it for the path of a picture that none of these needs; setuptools has removed it.
        module = types.ModuleType("pkg_resources")
        module.resource_filename = lambda package, path: path  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import imagecorruptions

    def corrupt(name: str) -> Callable[[int], Callable[[Sequence[npt.NDArray[np.uint8]]], object]]:
        return lambda level: lambda images: [imagecorruptions.corrupt(image, level, name) for image in images]

    names = {
        "lens_blur": "defocus_blur",
        "motion_blur": "motion_blur",
        "color_saturation_hsv": "saturate",
        "jpeg": "jpeg_compression",
        "white_noise": "gaussian_noise",
        "impulse_noise": "impulse_noise",
        "multiplicative_noise": "speckle_noise",
        "brighten": "brightness",
        "pixelate": "pixelate",
        "contrast_change": "contrast",
    }
    return [Peer(type, name, "arrays", corrupt(name)) for type, name in names.items()]


LIBRARIES = {
    "torchvision": torchvision_peers,
    "kornia": kornia_peers,
    "albumentations": albumentations_peers,
    "imagecorruptions": imagecorruptions_peers,
}
