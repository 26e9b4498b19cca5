"""The workers of ``make-dataset``: each makes all images of a photo and writes them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from dsmix_aug.cli._dataset_plan import Plan, PlannedImage
from dsmix_aug.cli._output import encode_image, write_bytes
from dsmix_aug.cli._photos import Photo, why_unreadable
from dsmix_aug.cli._read import read_at_size


class Outcome(NamedTuple):
    """The outcome for one photo.

    ``photo``: its index; ``bytes``: the size of its files; ``skipped``: why it was left out; ``stopped``: why nothing
    can be written any more.
    """

    photo: int
    bytes: int = 0
    skipped: str | None = None
    stopped: str | None = None


@dataclass(frozen=True)
class PhotoImages(Dataset[Outcome]):
    """Making the images of a photo, as a dataset whose items are made by a DataLoader's workers.

    Attributes:
        photos: The photos.
        stems: The name of each photo's outputs.
        plan: Which images are made.
        size: Width and height of all images, or ``None`` for those of the photos.
        folder: The dataset's folder, or ``None`` to write nothing: then an item tells how large its files would be.
    """

    photos: Sequence[Photo]
    stems: Sequence[str]
    plan: Plan
    size: tuple[int, int] | None
    folder: Path | None

    def __getitem__(self, index: int) -> Outcome:
        """Make and write the images of a photo."""
        images = self.plan.images_of(self.stems[index])
        try:
            photo = read_at_size(self.photos[index].path, self.size)
            for name in {step.type for image in images for step in image.steps}:
                self.plan.bank[name].check_image_size(photo)
        except (OSError, ValueError) as error:
            return Outcome(index, skipped=why_unreadable(self.photos[index], error))
        total = 0
        try:
            for file, pixels in self._make(self.stems[index], photo, images):
                content = encode_image(pixels, self.plan.suffix)
                total += len(content)
                if self.folder is not None:
                    write_bytes(content, self.folder / file)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return Outcome(index, skipped="its name is too long")
            return Outcome(index, stopped=str(error))
        return Outcome(index, total)

    def _make(self, stem: str, photo: Tensor, images: Sequence[PlannedImage]) -> Iterator[tuple[str, Tensor]]:
        yield self.plan.reference_of(stem), photo
        for image in images:
            yield image.file, self.plan.bank.apply(photo, [image.steps])
