import numpy as np
import pytest
import torch
from scipy import stats

from dsmix_aug.distortions._fields import draw_seed, normal_fields, uniform_fields

FIELDS = {"normal": (normal_fields, stats.norm), "uniform": (uniform_fields, stats.uniform)}


@pytest.fixture(params=FIELDS)
def make_fields(request):
    return FIELDS[request.param][0]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 40, 41), (2, 1, 7), (50000,)])
def test_distribution(name, dtype, shape):
    make_fields, distribution = FIELDS[name]
    fields = make_fields(range(100, 100 + 60000 // int(np.prod(shape)) + 1), shape, torch.zeros(1, dtype=dtype))
    assert fields.dtype == dtype
    assert fields.shape[1:] == shape
    assert stats.kstest(fields.double().flatten().numpy(), distribution.cdf).pvalue > 1e-3


def test_field_depends_on_its_own_seed_alone(make_fields):
    like = torch.zeros(1)
    batch = make_fields([5, 6, 2**63 - 2, 5], (3, 9, 11), like)
    for field, seed in zip(batch, [5, 6, 2**63 - 2, 5], strict=True):
        torch.testing.assert_close(field, make_fields([seed], (3, 9, 11), like)[0], rtol=0, atol=0)
    assert abs(np.corrcoef(batch[:3].flatten(1))[np.triu_indices(3, 1)]).max() < 0.25


def test_fields_leave_the_global_generator_alone(make_fields):
    state = torch.get_rng_state()
    make_fields([1, 2], (3, 8, 8), torch.zeros(1))
    assert torch.equal(state, torch.get_rng_state())


def test_empty_batch(make_fields):
    assert make_fields([], (3, 8, 8), torch.zeros(1)).shape == (0, 3, 8, 8)


def test_draw_seed_follows_its_generator():
    seeds = [draw_seed(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(isinstance(seed, int) and 0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(3)
    first = draw_seed(None)
    torch.manual_seed(3)
    assert draw_seed(None) == first != draw_seed(None)


def test_seeds_spread_over_their_range():
    generator = torch.Generator().manual_seed(0)
    seeds = np.array([draw_seed(generator) for _ in range(2000)], dtype=float) / 2**63
    assert stats.kstest(seeds, stats.uniform.cdf).pvalue > 1e-3
