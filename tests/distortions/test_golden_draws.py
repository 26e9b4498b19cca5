"""Draws as numbers, so that a changed random stream is noticed: it changes everybody's batches and needs a reason.

For each type, one seed and all levels that change the image, one after the other. Tables of draws are summed up by
their first row and their sum.
"""

from typing import Any

import pytest
import torch

from dsmix_aug import DistortionBank, RandomDistortion
from dsmix_aug.distortions import BEYOND, KADID_10K

SEED = 2026
FIELD_SEEDS = {
    1: 4046212693407858054,
    2: 7618721793331721144,
    3: 8792372609707579726,
    4: 1639897531162835572,
    5: 8841337496278918579,
}
#: The draws by type and level; the types that are not here draw nothing.
GOLDEN: dict[str, dict[int, Any]] = {
    "motion_blur": {2: 111, 3: 91, 4: 41, 5: 177},
    "color_shift": {
        1: (0.15248113870620728, 0.2519153356552124),
        2: (0.7310043573379517, 0.06426572799682617),
        3: (0.018681347370147705, 0.4945266842842102),
        4: (0.7581499218940735, 0.0008919239044189453),
        5: (0.6982057094573975, 0.046473681926727295),
    },
    "white_noise": FIELD_SEEDS,
    "white_noise_color": FIELD_SEEDS,
    "impulse_noise": FIELD_SEEDS,
    "multiplicative_noise": FIELD_SEEDS,
    "denoise": FIELD_SEEDS,
    "jitter": FIELD_SEEDS,
    "non_eccentricity_patch": {
        1: ([0.152481, 0.251915, 0.731004, 0.064266], 207.1598),
        2: ([0.134578, 0.469149, 0.032993, 0.528375], 204.2297),
        3: ([0.419201, 0.24193, 0.365213, 0.476972], 202.6454),
        4: ([0.401415, 0.520279, 0.900901, 0.740589], 201.9429),
        5: ([0.627737, 0.271755, 0.365996, 0.559228], 198.5646),
    },
    "color_block": {
        1: ([0.152481, 0.251915, 0.731004, 0.064266, 0.018681], 24.9328),
        2: ([0.517636, 0.733246, 0.186785, 0.505034, 0.005488], 23.2887),
        3: ([0.509643, 0.285358, 0.833564, 0.666271, 0.613677], 25.3302),
        4: ([0.726155, 0.275529, 0.416105, 0.422086, 0.557078], 26.542),
        5: ([0.624707, 0.872226, 0.753507, 0.665534, 0.661983], 23.6125),
    },
    "resize": {1: "bilinear", 2: "area", 3: "area", 4: "bicubic", 5: "bilinear"},
    "poisson_gaussian_noise": FIELD_SEEDS,
    "exposure": {1: True, 2: False, 3: False, 4: False, 5: True},
}


def summary(draws: dict[str, Any]) -> Any:
    (value,) = draws.values()
    if not isinstance(value, list):
        return value
    return [round(number, 6) for number in value[0]], round(sum(map(sum, value)), 4)


def images(count: int) -> torch.Tensor:
    return torch.zeros(count, 3, 64, 64)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@pytest.mark.parametrize("name", KADID_10K + BEYOND)
def test_of_every_type_and_level(name, generator):
    bank = DistortionBank([name], pristine=False)
    params = bank.make_params(images(bank.num_classes), range(bank.num_classes), generator=generator)
    assert {entry.level: summary(entry.draws) for entry in params if entry.draws} == GOLDEN.get(name, {})


def test_of_classes(generator):
    labels = DistortionBank()(images(12), generator=generator)[1]
    assert labels.tolist() == [13, 8, 72, 4, 1, 89, 121, 40, 118, 97, 69, 47]


def test_of_compositions(generator):
    drawn = DistortionBank().make_composed_params(images(6), (0, 4), generator=generator)
    assert [[(step.type, step.level) for step in steps] for steps in drawn] == [
        [],
        [],
        [("white_noise_color", 4), ("brighten", 5)],
        [("jpeg2000", 3), ("white_noise_color", 3), ("color_block", 4)],
        [("lens_blur", 3)],
        [("mean_shift", 5), ("impulse_noise", 4), ("color_shift", 1)],
    ]


def test_of_samples_left_alone(generator):
    transform = RandomDistortion(DistortionBank(["mean_shift"], pristine=False), p=0.5)
    drawn = transform.make_params([images(8)], generator)["distortions"]
    assert [entry.level for entry in drawn] == [0, 4, 0, 1, 0, 0, 2, 1]
