"""SeededGenerator, and which generators calls refuse; tests/mixing/test_workers.py has those of workers."""

import copy
import pickle

import numpy as np
import pytest
import torch

from dsmix_aug import DistortionBank, DSMix, SeededGenerator

PHOTOS = torch.full((2, 3, 32, 32), 0.5)


def draws(generator):
    return torch.rand(8, generator=generator)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1, np.int64(5)])
def test_one_seed_is_that_of_torch(seed):
    assert torch.equal(draws(SeededGenerator(seed)), draws(torch.Generator().manual_seed(int(seed))))


def test_several_seeds_are_hashed_by_numpy():
    for seeds in [(7, 0, 0), (7, 0, 1), (7, 1, 0), (0, 7, 0), (7, 0), (2**80, 1)]:
        expected = int(np.random.SeedSequence(list(seeds)).generate_state(1, np.uint64)[0])
        assert torch.equal(draws(SeededGenerator(*seeds)), draws(torch.Generator().manual_seed(expected)))


def test_seeds_are_told_apart():
    keys = [(seed, epoch, batch) for seed in range(3) for epoch in range(3) for batch in range(3)]
    assert len({tuple(draws(SeededGenerator(*key)).tolist()) for key in keys}) == len(keys)


def test_it_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    draws(SeededGenerator(1, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_a_generator_of_torch():
    generator = SeededGenerator(3)
    draws(generator)
    for copied in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        state = generator.get_state()
        assert torch.equal(copied.get_state(), state)
        assert torch.equal(draws(copied), draws(generator))
        generator.set_state(state)


@pytest.mark.parametrize("seeds", [(), (1.5,), ("7",), (True,), (1, None), (torch.tensor(3.0),)])
def test_seeds_of_other_types(seeds):
    with pytest.raises(TypeError, match=r"seeds should be "):
        SeededGenerator(*seeds)


@pytest.mark.parametrize(("seeds", "message"), [((-1,), "at least 0, got -1"), ((3, -2), "at least 0, got -2")])
def test_negative_seeds(seeds, message):
    with pytest.raises(ValueError, match=rf"seeds should be {message}"):
        SeededGenerator(*seeds)


def test_one_seed_that_torch_cannot_take():
    with pytest.raises(ValueError, match=rf"seeds: a single one should be below 2\*\*64, got {2**64}"):
        SeededGenerator(2**64)


@pytest.mark.parametrize("wrong", [0, "seed", np.random.default_rng(0)])
def test_what_is_no_generator(wrong):
    calls = [
        lambda: DistortionBank()(PHOTOS, generator=wrong),
        lambda: DistortionBank()["jitter"](PHOTOS, 1, generator=wrong),
        lambda: DistortionBank().make_composed_params(PHOTOS, generator=wrong),
        lambda: DSMix(num_classes=2, weighting="area")(PHOTOS, torch.tensor([0, 1]), generator=wrong),
    ]
    before = torch.get_rng_state()
    message = rf"generator should be a torch.Generator or None, got {type(wrong).__name__}"
    for call in calls:
        with pytest.raises(TypeError, match=message):
            call()
    assert torch.equal(torch.get_rng_state(), before)


class OnGPU(torch.Generator):
    """What a machine without a GPU cannot make."""

    device = torch.device("cuda", 1)


def test_generators_of_other_devices():
    with pytest.raises(ValueError, match=r"generator should be on the CPU, where .* is drawn, got one on cuda:1"):
        DistortionBank()(PHOTOS, generator=OnGPU())
