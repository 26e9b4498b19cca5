"""The datasets, one small loader each, and the one registry of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dsmix_aug.nriqa.config import Config
from dsmix_aug.nriqa.datasets.csv_scores import load_csv
from dsmix_aug.nriqa.datasets.photo_folder import load_photo_folder
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.photos import PhotoSet

#: Loaders of scored datasets by the name that ``--data name=path`` gives: path as unpacked -> :class:`ScoredSet`.
LOADERS: dict[str, Callable[[Path], ScoredSet]] = {}


def load_photos(config: Config) -> PhotoSet:
    """Return the config's pristine photos.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If it holds no photo that can be used.
    """
    min_side = max(config.dsm.crop_size, config.pretrain.crop_size, config.held_out_side)
    if config.photos == "skimage":
        return load_skimage_photos(min_side)
    return load_photo_folder(Path(config.photos), min_side)


def load_scored_set(name: str, path: Path) -> ScoredSet:
    """Return the scored dataset ``name`` at ``path``: one of :data:`LOADERS`, or any name with a CSV file.

    Raises:
        FileNotFoundError: If ``path`` is missing.
        ValueError: If there is no loader of that name and ``path`` is no CSV file, or the data is not as expected.
    """
    if name in LOADERS:
        return LOADERS[name](path)
    if path.suffix.lower() == ".csv":
        return load_csv(path, name)
    raise ValueError(
        f"data: no loader is called {name!r} (there are: {', '.join(LOADERS) or 'none'}), and {path} is no .csv file"
    )


__all__ = ["LOADERS", "ScoredSet", "load_photos", "load_scored_set"]
