"""Batches that are the same with any number of workers: a generator from seed, epoch and batch number."""

from collections.abc import Iterator

import skimage.data
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from dsmix_aug import DistortionBank, DSMix, Reference, SeededGenerator

SEED = 7
bank = DistortionBank()
mix = DSMix(num_classes=bank.num_classes)


class NumberedBatches(BatchSampler):
    """Give each index together with the epoch and the number of its batch."""

    epoch = 0

    def __iter__(self) -> Iterator[list]:
        for number, indices in enumerate(super().__iter__()):
            yield [(self.epoch, number, index) for index in indices]


class Crops(Dataset):
    """64 crops of a photo, each with the key of its batch."""

    def __init__(self) -> None:
        self.photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)

    def __len__(self) -> int:
        return 64

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[torch.Tensor, tuple[int, int]]:
        epoch, number, index = key
        top, left = 32 * (index // 8), 48 * (index % 8)
        return self.photo[:, top : top + 128, left : left + 128], (epoch, number)


def collate(samples: list) -> tuple[torch.Tensor, torch.Tensor]:
    """Distort and mix a batch, drawing only from the batch's own generator."""
    images = torch.stack([image for image, _ in samples])
    epoch, number = samples[0][1]
    generator = SeededGenerator(SEED, epoch, number)
    distorted, labels = bank(images, generator=generator)
    mixed, labels, _ = mix(distorted, labels, Reference(images), generator=generator)
    return mixed, labels


def first_epoch(num_workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return all batches of an epoch."""
    dataset = Crops()
    order = RandomSampler(dataset, generator=torch.Generator().manual_seed(SEED))
    loader = DataLoader(
        dataset,
        batch_sampler=NumberedBatches(order, batch_size=16, drop_last=True),
        collate_fn=collate,
        num_workers=num_workers,
    )
    return list(loader)


if __name__ == "__main__":
    for without_workers, with_workers in zip(first_epoch(0), first_epoch(2), strict=True):
        assert torch.equal(without_workers[0], with_workers[0])
        assert torch.equal(without_workers[1], with_workers[1])
    print("0 and 2 workers gave the same batches")
