"""Draws in DataLoader workers, as docs/reproducibility.rst says: a stream of its own per worker and epoch."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from dsmix_aug import DistortionBank, DSMix


class OwnGenerator:
    """A collate function with a generator of its own, made in the worker and seeded from the worker's seed."""

    def __init__(self) -> None:
        self.bank = DistortionBank(["mean_shift", "jpeg"])
        self.mix = DSMix(num_classes=self.bank.num_classes, weighting="area", patch_size=1)
        self.generator: torch.Generator | None = None

    def __call__(self, photos):
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(torch.initial_seed())
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
