"""Numbers at their limits: half precision, large maps and images, extreme alphas; the oracles are SciPy and sums."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
import torch
from factories import distorted_pair, random_images

from dsmix_aug import DistortionBank, DSMix, Reference, functional, sensitivity_map
from dsmix_aug.maps.patch_grid import patch_areas
from dsmix_aug.mixing.boxes import draw_lambda

#: Half of the distance between numbers just below 1: what rounding a result to the dtype may change.
HALF = {torch.float16: 2.0**-12, torch.bfloat16: 2.0**-9}
half_dtypes = pytest.mark.parametrize("dtype", list(HALF), ids=str)


@half_dtypes
@pytest.mark.parametrize("name", list(DistortionBank()))
def test_half_precision_only_rounds_what_float32_gives(dtype, name):
    distortion = DistortionBank()[name]
    images = random_images(2, 3, 48, 50).to(dtype)
    draws = [distortion.draw(torch.Generator().manual_seed(seed)) for seed in range(2)]
    for level in range(1, 6):
        result = distortion.distort_batch(images, [level, level], draws)
        exact = distortion.distort_batch(images.float(), [level, level], draws)
        torch.testing.assert_close(result.float(), exact, rtol=0, atol=HALF[dtype])


@half_dtypes
def test_half_precision_maps_are_those_of_float32(dtype):
    images, references = (image.to(dtype) for image in distorted_pair())
    dsm = sensitivity_map(images, references)
    assert dsm.dtype == torch.float32
    torch.testing.assert_close(dsm, sensitivity_map(images.float(), references.float()), rtol=1e-6, atol=1e-7)


@half_dtypes
@pytest.mark.parametrize("weighting", ["mass", "retained", "area"])
def test_half_precision_batches_are_mixed_as_in_float32(dtype, weighting):
    images, references = (image.to(dtype) for image in distorted_pair())
    labels = torch.rand(4, 5).softmax(1).to(dtype)
    mix = DSMix(weighting=weighting, box="sample")
    results = []
    for convert in (lambda x: x, lambda x: x.float()):
        torch.manual_seed(3)
        results.append(mix(convert(images), convert(labels), Reference(convert(references))))
    (mixed, soft, _), (exact, exact_soft, _) = results
    assert torch.equal(mixed.float(), exact)
    assert soft.dtype == dtype
    torch.testing.assert_close(soft.float(), exact_soft, rtol=0, atol=HALF[dtype] + 1e-6)


def test_the_mass_of_a_large_map_is_exact():
    """Sums in float64 over 4 million patches, against integers."""
    side = 2048
    maps = torch.rand(1, side, side, generator=torch.Generator().manual_seed(0))
    pasted = torch.zeros(1, side, side, dtype=torch.int64)
    pasted[:, 300:1700, 500:1500] = 1
    lam = functional.mixing_weight(maps, maps, pasted, 1 - pasted, "mass")
    units = (maps[0].double() * 2**24).to(torch.int64)  # torch.rand gives multiples of 2**-24
    total, inside = int(units.sum()), int(units[300:1700, 500:1500].sum())
    assert float(lam) == pytest.approx(float(Fraction(total - inside, total)), rel=1e-14, abs=0)


@pytest.mark.slow
@pytest.mark.parametrize("patch_size", [1, 8192])
def test_the_mass_of_the_largest_map(patch_size):
    """8,192x8,192 patches of 1 px, or 67 million differences in one patch, against NumPy in float64."""
    side = 8192
    generator = np.random.default_rng(0)
    images, references = (generator.random((side, side), dtype=np.float32) for _ in range(2))
    dsm = sensitivity_map(torch.from_numpy(images)[None], torch.from_numpy(references)[None], patch_size)
    mass = patch_areas((side, side), patch_size, torch.device("cpu")).mul(dsm.double()).sum()
    exact = np.sum(np.abs(np.subtract(images, references, out=images), out=images), dtype=np.float64)
    assert float(mass) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("side", [2048, 2051])
def test_the_error_of_a_large_image_is_that_of_float64(side):
    """One patch over the whole image: 4 million differences in float32."""
    images, references = (random_images(1, 1, side, side, seed=seed) for seed in (0, 1))
    exact = (images.double() - references.double()).abs().mean()
    assert float(sensitivity_map(images, references, side)) == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1e3])
def test_lambda_is_that_of_torch(alpha):
    """CutMix's, so that equal seeds give equal boxes, also where the sampler is not exact."""
    torch.manual_seed(7)
    expected = torch.distributions.Beta(torch.tensor([alpha]), alpha).sample((5,)).flatten()
    torch.manual_seed(7)
    assert [draw_lambda(1, alpha, None)[0] for _ in range(5)] == pytest.approx(expected.tolist())


@pytest.mark.parametrize("alpha", [5e-3, 1e-2, 0.2, 1.0, 5.0, 100.0, 1e3])
def test_lambda_is_drawn_from_beta(alpha):
    drawn = np.array(draw_lambda(4000, alpha, torch.Generator().manual_seed(1)))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    # float32 has no numbers between 1 - 6e-8 and 1: with a small alpha many draws lie there.
    ends = (drawn < 1e-6) | (drawn > 1 - 1e-6)
    expected = scipy.stats.beta.cdf(1e-6, alpha, alpha) * 2
    assert ends.mean() == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(drawn)) + 1e-9)
    inner = drawn[~ends]
    if len(inner) > 50:
        low, high = scipy.stats.beta.cdf([1e-6, 1 - 1e-6], alpha, alpha)
        test = scipy.stats.kstest(inner, lambda x: (scipy.stats.beta.cdf(x, alpha, alpha) - low) / (high - low))
        assert test.pvalue > 1e-3
