"""Training batches: crops of photos -> distortion bank -> DSMix; each a fixed function of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.estimated_opinions import EstimatedDistortions
from dsmix_aug.nriqa.datasets.photos import ShrunkPhotos, random_crop
from dsmix_aug.nriqa.runs.config import LoopConfig
from dsmix_aug.nriqa.stages.mixing import Mixer


class Batch(NamedTuple):
    """A batch.

    ``images``: (B, 3, S, S) uint8, distorted and mixed; ``references``: the same without distortion;
    ``labels``: (B, classes) float32, rows sum to 1, or are 0 where an image has no class; ``estimates``: (B,) float32,
    the estimated opinion of the images that have no class, NaN for the others.
    """

    images: Tensor
    references: Tensor
    labels: Tensor
    estimates: Tensor


#: Of so many workers it is known at which photo they were when one was killed.
MOST_WORKERS = 256
NONE_YET = -1


class DistortedCrops(Dataset[Batch]):
    """Batches by number. Batch ``i`` depends on nothing but the arguments here and ``i``.

    So a loop that was interrupted goes on with the batches that it would have seen, with any number of workers, and
    rows that differ in the weighting of their labels see the same crops, distortions and boxes.

    Args:
        photos: Pristine photos, each at least as high and wide as the crops.
        photo_side: Photos are shrunk to this shorter side in px.
        loop: Sizes of batch and crops; a batch here is one of the loop's shards.
        bank: The distortions, drawn uniformly over its classes.
        mixer: What mixes a batch; ``None``: nothing is mixed.
        seed: What the draws derive from, with the batch's number.
        estimated_share: Share of each batch that shows what the bank does not: these images come last, are not mixed
            and have no class but an estimated opinion.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        photo_side: int,
        loop: LoopConfig,
        bank: DistortionBank,
        mixer: Mixer | None,
        seed: int,
        estimated_share: float = 0.0,
    ) -> None:
        self.photos = list(photos)
        self.shrunk = ShrunkPhotos(photo_side)
        self.crop_size = loop.crop_size
        self.batch_size = loop.batch_size // loop.shards
        self.bank = bank
        self.mixer = mixer
        self.seed = seed
        self.estimated_size = round(estimated_share * self.batch_size)
        self._last_photos = torch.full((MOST_WORKERS,), NONE_YET).share_memory_()  # of each worker
        self.distort_otherwise = EstimatedDistortions()

    def __getitem__(self, number: int) -> Batch:
        generator = make_generator(self.seed, "batch", number)
        classified = self._draw_classified(self.batch_size - self.estimated_size, generator)
        if not self.estimated_size:
            return classified
        estimated = self._draw_estimated(self.estimated_size, generator)
        return Batch(*(torch.cat(parts) for parts in zip(classified, estimated, strict=True)))

    def _draw_classified(self, size: int, generator: torch.Generator) -> Batch:
        references = self._draw_crops(size, generator)
        images, labels = self.bank(references, generator=generator)
        if self.mixer is None:
            soft_labels = F.one_hot(labels, self.bank.num_classes).to(torch.float32)
        else:
            images, soft_labels, references = self.mixer(images, labels, references, generator)
        return Batch(images, references, soft_labels, torch.full((size,), torch.nan))

    def _draw_estimated(self, size: int, generator: torch.Generator) -> Batch:
        references = self._draw_crops(size, generator)
        images, opinions, _ = self.distort_otherwise(references, generator)
        return Batch(images, references, torch.zeros(size, self.bank.num_classes), opinions)

    def _draw_crops(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.stack([self._draw_crop(generator) for _ in range(size)])

    def _draw_crop(self, generator: torch.Generator) -> Tensor:
        number, flip = (int(torch.randint(limit, (), generator=generator)) for limit in (len(self.photos), 2))
        worker = get_worker_info()
        if worker is not None:
            self._last_photos[worker.id % MOST_WORKERS] = number
        crop = random_crop(self.shrunk[self.photos[number]], self.crop_size, generator)
        return crop.flip(-1) if flip else crop

    @contextmanager
    def naming_photos(self) -> Iterator[None]:
        """Turn the error of a worker that was killed into one that names the photos that workers were at.

        Raises:
            ChildProcessError: If a worker was killed.
        """
        try:
            yield
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            photos = [str(self.photos[number]) for number in self._last_photos.tolist() if number != NONE_YET]
            raise ChildProcessError(
                "a worker process was killed, perhaps for memory, which fewer --workers need less of, at "
                f"{' or '.join(photos) or 'its start'}"
            ) from error
