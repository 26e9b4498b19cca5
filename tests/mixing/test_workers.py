"""Draws in DataLoader workers, as docs/reproducibility.rst says: a stream of its own per worker and epoch."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from dsmix_aug import DistortionBank, DSMix, RandomDistortion, Reference, SeededGenerator


class OwnGenerator:
    """A collate function with a generator of its own, made in the worker and seeded from the worker's seed."""

    def __init__(self) -> None:
        self.bank = DistortionBank(["mean_shift", "jpeg"])
        self.mix = DSMix(num_classes=self.bank.num_classes, weighting="area", patch_size=1)
        self.generator: SeededGenerator | None = None

    def __call__(self, photos):
        if self.generator is None:
            self.generator = SeededGenerator(torch.initial_seed())
        images, labels = self.bank(default_collate(photos), generator=self.generator)
        params = self.mix.make_params([images], generator=self.generator)
        return labels.tolist(), params["box"]


class GlobalStream:
    """A collate function that draws from torch's global generator."""

    def __init__(self) -> None:
        self.mix = DSMix(weighting="area", patch_size=1)

    def __call__(self, photos):
        return self.mix.make_params([default_collate(photos)])["box"]


def two_epochs(collate, seed, persistent_workers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking a process with threads
        torch.manual_seed(seed)
        loader = DataLoader(
            torch.rand(12, 3, 64, 64),
            batch_size=3,
            num_workers=2,
            collate_fn=collate,
            persistent_workers=persistent_workers,
        )
        return [list(loader) for _ in range(2)]


@pytest.mark.parametrize("persistent_workers", [False, True])
@pytest.mark.parametrize("make", [OwnGenerator, GlobalStream])
def test_no_two_batches_are_drawn_alike_and_the_seed_repeats_all(make, persistent_workers):
    first, second = two_epochs(make(), 0, persistent_workers)
    batches = [str(batch) for batch in (*first, *second)]
    assert len(set(batches)) == 8
    assert two_epochs(make(), 0, persistent_workers) == [first, second]
    assert two_epochs(make(), 1, persistent_workers) != [first, second]


def draw_from(name, photos, generator):
    """Make a call of one that takes a generator."""
    bank = DistortionBank(["mean_shift", "jpeg"])
    if name == "bank":
        return bank(photos, generator=generator)
    if name == "composed":
        return bank.make_composed_params(photos, 2, generator=generator)
    if name == "one type":
        return bank["jpeg"](photos, 1, generator=generator)
    if name == "RandomDistortion":
        return RandomDistortion(bank)(photos, generator=generator)
    return DSMix(num_classes=2)(photos, torch.tensor([0, 1]), Reference(photos), generator=generator)


class Copied:
    """A collate function whose generator was made before the workers."""

    def __init__(self, name, generator):
        self.name, self.generator = name, generator

    def __call__(self, numbers):
        return draw_from(self.name, torch.rand(len(numbers), 3, 32, 32), self.generator)


def make_one_here(numbers):
    return draw_from("bank", torch.rand(len(numbers), 3, 32, 32), torch.Generator().manual_seed(0))


def name_the_default(numbers):
    draw_from("bank", torch.rand(len(numbers), 3, 32, 32), torch.default_generator)
    return "drawn"


def load(collate):
    """Fork a worker: to one that is spawned, torch cannot send a generator."""
    loader = DataLoader(range(2), 2, num_workers=1, collate_fn=collate, multiprocessing_context="fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(loader)


REFUSAL = r"generator: one that was made before the workers draws the same .*dsmix_aug.SeededGenerator\(seed\)"


@pytest.mark.parametrize("make", [torch.Generator, lambda: SeededGenerator(7)], ids=["torch's", "seeded"])
@pytest.mark.parametrize("name", ["bank", "composed", "one type", "RandomDistortion", "DSMix"])
def test_a_copy_is_refused_in_a_worker(name, make):
    with pytest.raises(ValueError, match=REFUSAL):
        load(Copied(name, make()))


def test_what_cannot_be_told_from_a_copy_is_refused():
    with pytest.raises(ValueError, match=REFUSAL):
        load(make_one_here)


def test_the_default_generator_may_be_named():
    assert load(name_the_default) == ["drawn"]
