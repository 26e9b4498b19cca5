"""Training batches: crops of photos -> distortion bank -> DSMix; each a fixed function of its number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base.seeds import make_generator
from dsmix_aug.nriqa.datasets.photos import ShrunkPhotos, random_crop
from dsmix_aug.nriqa.runs.config import LoopConfig
from dsmix_aug.nriqa.stages.mixing import Mixer


class Batch(NamedTuple):
    """A batch.

    ``images``: (B, 3, S, S) uint8, distorted and mixed; ``references``: the same without distortion;
    ``labels``: (B, classes) float32, rows sum to 1.
    """

    images: Tensor
    references: Tensor
    labels: Tensor


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
    """

    def __init__(
        self,
        photos: Sequence[Path],
        photo_side: int,
        loop: LoopConfig,
        bank: DistortionBank,
        mixer: Mixer | None,
        seed: int,
    ) -> None:
        self.photos = list(photos)
        self.shrunk = ShrunkPhotos(photo_side)
        self.crop_size = loop.crop_size
        self.batch_size = loop.batch_size // loop.shards
        self.bank = bank
        self.mixer = mixer
        self.seed = seed

    def __getitem__(self, number: int) -> Batch:
        generator = make_generator(self.seed, "batch", number)
        references = torch.stack([self._draw_crop(generator) for _ in range(self.batch_size)])
        images, labels = self.bank(references, generator=generator)
        if self.mixer is None:
            soft_labels = F.one_hot(labels, self.bank.num_classes).to(torch.float32)
            return Batch(images, references, soft_labels)
        images, soft_labels, references = self.mixer(images, labels, references, generator)
        return Batch(images, references, soft_labels)

    def _draw_crop(self, generator: torch.Generator) -> Tensor:
        number, flip = (int(torch.randint(limit, (), generator=generator)) for limit in (len(self.photos), 2))
        crop = random_crop(self.shrunk[self.photos[number]], self.crop_size, generator)
        return crop.flip(-1) if flip else crop
