"""Draws in DataLoader workers, as docs/reproducibility.rst says: a stream of its own per worker and epoch."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from dsmix_aug import DistortionBank, DSMix, RandomDistortion, Reference, SeededGenerator, _generator


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


NAMES = ("bank", "composed", "one type", "RandomDistortion", "DSMix")
PHOTOS = torch.rand(2, 3, 32, 32)
REFUSAL = r"generator: one that was made before the workers draws the same .*dsmix_aug.SeededGenerator\(seed\)"


def load(collate):
    """Fork a worker: to one that is spawned, torch cannot send a generator."""
    loader = DataLoader(range(2), 2, num_workers=1, collate_fn=collate, multiprocessing_context="fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(loader)


def test_a_copy_is_refused_in_a_worker():
    own = torch.Generator().manual_seed(7)
    with pytest.raises(ValueError, match=REFUSAL):
        load(lambda numbers: draw_from("bank", PHOTOS, own))


@pytest.mark.parametrize("make", [lambda: torch.default_generator, lambda: SeededGenerator(7)])
def test_what_draws_apart_is_accepted_in_a_worker(make):
    (labels,) = load(lambda numbers: draw_from("bank", PHOTOS, make())[1])
    assert labels.shape == (2,)


@pytest.fixture
def as_in_a_worker(monkeypatch):
    """After an error in a real one, torch waits 5 s for it to end."""
    monkeypatch.setattr(_generator, "get_worker_info", lambda: "that of a worker")


@pytest.mark.usefixtures("as_in_a_worker")
@pytest.mark.parametrize("name", NAMES)
class TestInAWorker:
    def test_a_copy_is_refused(self, name):
        before = torch.get_rng_state()
        with pytest.raises(ValueError, match=REFUSAL):
            draw_from(name, PHOTOS, torch.Generator())
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_seeded_generator_of_another_process_is_refused(self, name):
        copied = SeededGenerator(7)
        copied.process += 1
        with pytest.raises(ValueError, match=REFUSAL):
            draw_from(name, PHOTOS, copied)

    def test_a_seeded_generator_of_this_process_is_used(self, name):
        first, second = SeededGenerator(7), SeededGenerator(7)
        draw_from(name, PHOTOS, first)
        draw_from(name, PHOTOS, second)
        assert torch.equal(first.get_state(), second.get_state())
        assert not torch.equal(first.get_state(), SeededGenerator(7).get_state()) or name == "one type"  # draws nothing

    def test_the_global_generator_may_be_named(self, name):
        draw_from(name, PHOTOS, torch.default_generator)


@pytest.mark.parametrize("name", NAMES)
def test_outside_of_workers_every_generator_is_accepted(name):
    draw_from(name, PHOTOS, torch.Generator())
