"""How bad people found each type at each level: KADID-10k's scores, and what a bank makes of them.

Observers scored every distortion at every level on 81 photos of 512x384, from 1 (bad) to 5 (excellent). The table keeps
the mean and the sample standard deviation of each class's 81 scores.

Source: Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019: facts computed
from its published scores of 10,125 images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from statistics import fmean
from typing import NamedTuple

from dsmix_aug.distortions._distortion import REGISTRY, Distortion


class Opinions(NamedTuple):
    """Scores of one type from level 1 on, 1 (bad) to 5 (excellent): their means, and their spread over the photos."""

    means: tuple[float, ...]
    stds: tuple[float, ...]


# fmt: off
KADID_10K_OPINIONS: dict[str, Opinions] = {
    "gaussian_blur": Opinions((4.6122, 4.3817, 2.9111, 1.8730, 1.3027), (0.130, 0.221, 0.428, 0.274, 0.139)),
    "lens_blur": Opinions((3.8625, 2.6536, 1.7558, 1.4419, 1.2991), (0.361, 0.406, 0.248, 0.170, 0.146)),
    "motion_blur": Opinions((4.6041, 4.0952, 2.8479, 2.1751, 1.6679), (0.129, 0.343, 0.434, 0.351, 0.261)),
    "color_diffusion": Opinions((4.4951, 2.6020, 1.7559, 1.6052, 1.3938), (0.182, 0.428, 0.369, 0.364, 0.296)),
    "color_shift": Opinions((4.2267, 2.5454, 1.9163, 1.8537, 1.8638), (0.396, 0.523, 0.402, 0.453, 0.502)),
    "color_quantization": Opinions((4.1081, 3.9733, 3.7186, 3.2028, 2.4249), (0.311, 0.348, 0.397, 0.411, 0.404)),
    "color_saturation_hsv": Opinions((2.7463, 2.3346, 2.2620, 2.2435, 2.0274), (0.319, 0.273, 0.315, 0.261, 0.308)),
    "color_saturation_lab": Opinions((4.5798, 3.3305, 2.6484, 1.8156, 1.5249), (0.137, 0.368, 0.441, 0.383, 0.311)),
    "jpeg2000": Opinions((4.5531, 4.2047, 3.8733, 2.4448, 1.3938), (0.165, 0.451, 0.611, 0.684, 0.255)),
    "jpeg": Opinions((4.3380, 4.2456, 3.8658, 1.9454, 1.3502), (0.222, 0.229, 0.308, 0.324, 0.182)),
    "white_noise": Opinions((3.8932, 3.3904, 3.0451, 2.7096, 2.3007), (0.365, 0.415, 0.366, 0.317, 0.270)),
    "white_noise_color": Opinions((4.4684, 3.6825, 3.1700, 2.6872, 2.3799), (0.197, 0.407, 0.417, 0.322, 0.291)),
    "impulse_noise": Opinions((3.5838, 2.9304, 2.6126, 2.3123, 2.1319), (0.384, 0.317, 0.239, 0.203, 0.182)),
    "multiplicative_noise": Opinions((4.4044, 3.5815, 3.0842, 2.6394, 2.1173), (0.265, 0.493, 0.496, 0.431, 0.346)),
    "denoise": Opinions((3.6677, 2.7272, 2.2027, 1.6549, 1.4665), (0.328, 0.388, 0.352, 0.238, 0.176)),
    "brighten": Opinions((4.5057, 4.2875, 3.6323, 2.7009, 1.8093), (0.158, 0.229, 0.335, 0.467, 0.378)),
    "darken": Opinions((4.6004, 4.5275, 4.2309, 3.5349, 2.2210), (0.130, 0.142, 0.225, 0.293, 0.407)),
    "mean_shift": Opinions((4.2180, 4.5188, 4.6030, 4.3695, 3.9033), (0.297, 0.178, 0.136, 0.194, 0.296)),
    "jitter": Opinions((4.4194, 4.0864, 3.2352, 1.8485, 1.3386), (0.201, 0.291, 0.455, 0.323, 0.168)),
    "non_eccentricity_patch": Opinions((4.3333, 3.9379, 3.7726, 3.4644, 3.2612), (0.312, 0.499, 0.552, 0.644, 0.655)),
    "pixelate": Opinions((3.8891, 3.0983, 2.8998, 2.7943, 1.4957), (0.452, 0.479, 0.448, 0.496, 0.260)),
    "quantization": Opinions((4.1685, 3.9335, 3.6859, 3.3728, 2.7990), (0.454, 0.590, 0.585, 0.641, 0.679)),
    "color_block": Opinions((2.6870, 2.3590, 2.2995, 2.1262, 2.0352), (0.390, 0.297, 0.256, 0.234, 0.229)),
    "high_sharpen": Opinions((3.5790, 2.6359, 2.1364, 1.6133, 1.3359), (0.411, 0.437, 0.366, 0.248, 0.159)),
    "contrast_change": Opinions((3.4194, 3.8584, 4.2901, 4.1415, 3.3238), (0.344, 0.276, 0.249, 0.275, 0.376)),
}
# fmt: on

#: The levels of KADID-10k that leave the image as it is: people scored the pristine photo, 4 x 81 times.
_PRISTINE = (("gaussian_blur", 1), ("motion_blur", 1), ("color_saturation_lab", 1), ("mean_shift", 3))


def pristine_opinion() -> tuple[float, float]:
    """Return the mean and the standard deviation of the pristine photos' scores.

    All scores of the levels that change nothing count as one sample: the variance within each level and that between
    the levels' means add up. (Each level has equally many scores; with 81 of them the sample correction is the same.)
    """
    scores = [KADID_10K_OPINIONS[name] for name, _ in _PRISTINE]
    means = [opinions.means[level - 1] for opinions, (_, level) in zip(scores, _PRISTINE, strict=True)]
    variances = [opinions.stds[level - 1] ** 2 for opinions, (_, level) in zip(scores, _PRISTINE, strict=True)]
    mean = fmean(means)
    return mean, math.sqrt(fmean(variances) + fmean((other - mean) ** 2 for other in means))


def opinions_of(distortion: Distortion, given: Sequence[float] | None = None) -> Opinions:
    """Return the opinions of a distortion: those given, its own, or KADID-10k's; NaN where nobody was asked.

    KADID-10k's are those of the types that the package registers under its names, not of another one of the same name.

    Raises:
        TypeError: If opinions are not a sequence of numbers.
        ValueError: If there is not one per level, or one is not in [1, 5].
    """
    unknown = (math.nan,) * len(distortion.values)
    own = distortion.opinions if given is None else given
    if own is not None:
        return Opinions(_checked(distortion.name, own, len(distortion.values)), unknown)
    if distortion.name in KADID_10K_OPINIONS and type(distortion) is REGISTRY.get(distortion.name):
        return KADID_10K_OPINIONS[distortion.name]
    return Opinions(unknown, unknown)


def _checked(name: str, opinions: object, num_levels: int) -> tuple[float, ...]:
    if not isinstance(opinions, Sequence) or not all(isinstance(score, Real) for score in opinions):
        raise TypeError(f"opinions of {name!r} should be a sequence of numbers, got {opinions!r}")
    if len(opinions) != num_levels:
        raise ValueError(f"opinions of {name!r} should be one per level: expected {num_levels}, got {len(opinions)}")
    wrong = [score for score in opinions if not 1 <= score <= 5]
    if wrong:
        raise ValueError(f"opinions of {name!r} should lie between 1 (bad) and 5 (excellent), got {wrong[0]}")
    return tuple(float(score) for score in opinions)
