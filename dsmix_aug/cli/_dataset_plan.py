"""The images that ``make-dataset`` makes of each photo: a function of the seed and the photo's name only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from dsmix_aug._generator import SeededGenerator
from dsmix_aug.cli._types import opinion
from dsmix_aug.distortions import DistortionBank, DistortionParams
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator

COLUMNS = ("image", "reference", "type", "level", "value", "seed", "opinion")
#: What is drawn does not depend on the photo; it only has to be large enough for every type.
_ANY_PHOTO = torch.zeros(3, 64, 64)


@dataclass(frozen=True)
class PlannedImage:
    """An image to make: its file in the dataset, the seed of what it draws, and the distortions that it undergoes."""

    file: str
    seed: int
    steps: tuple[DistortionParams, ...]


@dataclass(frozen=True)
class Plan:
    """The choice of images that are made of each photo.

    Attributes:
        seed: Seed of everything drawn.
        per_photo: Images of each photo, each of another class; ``None``: all types at all levels.
        compose: The least and the most distortions on each image; ``None``: one, and no two images of a photo alike.
        suffix: ``".jpg"`` or ``".png"``.
    """

    seed: int
    per_photo: int | None
    compose: tuple[int, int] | None
    suffix: str

    def __post_init__(self) -> None:
        if self.compose is not None:
            if self.per_photo is None:
                raise ValueError("--compose: cannot be used with --all")
            if self.compose[1] > len(self.bank.families):
                raise ValueError(
                    f"--compose: distortions are of different families, of which there are {len(self.bank.families)}, "
                    f"got {self.compose[1]}"
                )
        elif self.per_photo is not None and self.per_photo > len(self._changing):
            raise ValueError(f"--per-photo: there are {len(self._changing)} types and levels, got {self.per_photo}")

    @cached_property
    def bank(self) -> DistortionBank:
        """The 25 types."""
        return DistortionBank()

    @cached_property
    def _changing(self) -> list[tuple[str, int]]:
        """Types and levels that change an image."""
        return [self.bank.decode(label) for label in range(1, self.bank.num_classes)]

    @cached_property
    def _all(self) -> list[tuple[str, int]]:
        return [(name, level) for name in self.bank for level in self.bank.levels]

    @cached_property
    def _opinions(self) -> dict[tuple[str, int], str]:
        return {key: opinion(self.bank, *key) for key in self._all}

    @property
    def images_per_photo(self) -> int:
        """Number of images of each photo."""
        return len(self._all) if self.per_photo is None else self.per_photo

    def reference_of(self, stem: str) -> str:
        """Return the file of a photo's reference."""
        return f"references/{stem}{self.suffix}"

    def images_of(self, stem: str) -> list[PlannedImage]:
        """Return the images of a photo, those of one type together."""
        if self.compose is not None:
            return [self._composed(stem, number) for number in range(1, self.images_per_photo + 1)]
        if self.per_photo is None:
            return [self._single(stem, *key) for key in self._all]
        order = torch.randperm(len(self._changing), generator=make_generator(self.seed, stem))
        return [self._single(stem, *self._changing[i]) for i in sorted(order[: self.per_photo].tolist())]

    def _single(self, stem: str, name: str, level: int) -> PlannedImage:
        seed = derive_seed(self.seed, stem, name, level)
        draws = self.bank[name].draw(SeededGenerator(seed))
        file = f"images/{stem}-{name}-{level}{self.suffix}"
        return PlannedImage(file, seed, (DistortionParams(name, level, draws),))

    def _composed(self, stem: str, number: int) -> PlannedImage:
        assert self.compose is not None
        seed = derive_seed(self.seed, stem, "composed", number)
        generator = SeededGenerator(seed)
        (steps,) = self.bank.make_composed_params(_ANY_PHOTO, self.compose, generator=generator)
        return PlannedImage(f"images/{stem}-composed-{number}{self.suffix}", seed, steps)

    def rows_of(self, stem: str) -> list[tuple[str, ...]]:
        """Return the lines of a photo in ``scores.csv``, of :data:`COLUMNS`; of several distortions joined by ``+``."""
        return [self._row(stem, image) for image in self.images_of(stem)]

    def _row(self, stem: str, image: PlannedImage) -> tuple[str, ...]:
        values = [self.bank[step.type].values[step.level - 1] for step in image.steps]
        alone = len(image.steps) == 1
        return (
            image.file,
            self.reference_of(stem),
            "+".join(step.type for step in image.steps),
            "+".join(str(step.level) for step in image.steps),
            "+".join(f"{value:g}" for value in values),
            str(image.seed),
            self._opinions[image.steps[0].type, image.steps[0].level] if alone else "",
        )
