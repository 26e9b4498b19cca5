"""A folder of pristine photos."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.nriqa.datasets.photos import PhotoSet, check_photos, photo_fingerprint
from dsmix_aug.photos.listing import describe_ignored, find_photos

#: Hold out every n-th photo, unless told otherwise.
HELD_OUT_EVERY = 10


def load_photo_folder(folder: Path, min_side: int, held_out_every: int = HELD_OUT_EVERY) -> PhotoSet:
    """Return the photos of a folder and its subfolders; by default, every tenth by name is held out from training.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If fewer than two photos can be used: one to train on and one to hold out.
    """
    listed, ignored = find_photos(folder)
    photos, skipped = check_photos(listed, min_side)
    if len(photos) < 2:
        raise ValueError(f"{folder} should hold at least 2 photos, to train on one and hold out another, got 1")
    held_out = photos[::held_out_every]
    training = [path for path in photos if path not in set(held_out)]
    others = f"; {describe_ignored(ignored)}" if ignored else ""
    return PhotoSet(
        name=f"{folder} ({len(training)} photos to train, {len(held_out)} held out{others})",
        training=tuple(training),
        held_out=tuple(held_out),
        skipped=tuple(skipped),
        fingerprint=photo_fingerprint(photos),
    )
