"""The photos inside scikit-image, which a run uses by default."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import skimage

from dsmix_aug.nriqa.datasets.photos import PhotoSet, check_photos, photo_fingerprint

TRAINING = ("astronaut.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg")
#: Disjoint from the training photos. Grey photos are here because training needs colour.
HELD_OUT = (
    "chelsea.png",
    "rocket.jpg",
    "camera.png",
    "coins.png",
    "brick.png",
    "grass.png",
    "gravel.png",
    "moon.png",
)


def load_skimage_photos(min_side: int) -> PhotoSet:
    """Return the photos that are part of scikit-image's package; nothing is downloaded.

    Raises:
        ValueError: If one is missing, as in a scikit-image without its data folder.
    """
    folder = Path(skimage.__file__).parent / "data"
    missing = [name for name in TRAINING + HELD_OUT if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"photos: scikit-image {version('scikit-image')} has no {', '.join(missing)} in {folder}")
    training, skipped = check_photos([folder / name for name in TRAINING], min_side)
    held_out, skipped_too = check_photos([folder / name for name in HELD_OUT], min_side)
    return PhotoSet(
        name=f"the photos inside scikit-image ({len(training)} to train, {len(held_out)} held out)",
        training=tuple(training),
        held_out=tuple(held_out),
        skipped=(*skipped, *skipped_too),
        fingerprint=photo_fingerprint(training + held_out),
    )
