"""What ``make-dataset`` makes of each photo: a function of the seed and the photo's name only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from dsmix_aug.cli._types import opinion
from dsmix_aug.distortions import DistortionBank
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator

COLUMNS = ("image", "reference", "type", "level", "value", "seed", "opinion")


@dataclass(frozen=True)
class PlannedImage:
    """An image to make: its file in the dataset, its type and level, and the seed of what the type draws."""

    file: str
    type: str
    level: int
    seed: int


@dataclass(frozen=True)
class Plan:
    """Which images are made of a photo.

    Attributes:
        seed: Seed of everything drawn.
        per_photo: Images of each photo, each of another class; ``None``: all types at all levels.
        suffix: ``".jpg"`` or ``".png"``.
    """

    seed: int
    per_photo: int | None
    suffix: str

    def __post_init__(self) -> None:
        if self.per_photo is not None and self.per_photo > len(self._changing):
            raise ValueError(f"--per-photo: there are {len(self._changing)} types and levels, got {self.per_photo}")

    @cached_property
    def bank(self) -> DistortionBank:
        """The 25 types."""
        return DistortionBank()

    @cached_property
    def _changing(self) -> list[tuple[str, int]]:
        """Types and levels that change an image."""
        return [self.bank.decode(label) for label in range(1, self.bank.num_classes)]

    @property
    def images_per_photo(self) -> int:
        """Number of images of each photo."""
        return len(self.bank) * len(self.bank.levels) if self.per_photo is None else self.per_photo

    def reference_of(self, stem: str) -> str:
        """Return the file of a photo's reference."""
        return f"references/{stem}{self.suffix}"

    def images_of(self, stem: str) -> list[PlannedImage]:
        """Return the images of a photo, those of one type together."""
        return [
            PlannedImage(
                f"images/{stem}-{name}-{level}{self.suffix}", name, level, derive_seed(self.seed, stem, name, level)
            )
            for name, level in self._classes_of(stem)
        ]

    def _classes_of(self, stem: str) -> Sequence[tuple[str, int]]:
        if self.per_photo is None:
            return [(name, level) for name in self.bank for level in self.bank.levels]
        order = torch.randperm(len(self._changing), generator=make_generator(self.seed, stem))
        return [self._changing[i] for i in sorted(order[: self.per_photo].tolist())]

    def rows_of(self, stem: str) -> list[tuple[str, ...]]:
        """Return the lines of a photo in ``scores.csv``, of :data:`COLUMNS`."""
        return [
            (
                image.file,
                self.reference_of(stem),
                image.type,
                str(image.level),
                f"{self.bank[image.type].values[image.level - 1]:g}",
                str(image.seed),
                opinion(self.bank, image.type, image.level),
            )
            for image in self.images_of(stem)
        ]
