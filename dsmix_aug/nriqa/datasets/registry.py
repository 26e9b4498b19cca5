"""The datasets, one small loader each, and the one registry of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dsmix_aug.nriqa.datasets.biq2021 import load_biq2021
from dsmix_aug.nriqa.datasets.csiq import load_csiq
from dsmix_aug.nriqa.datasets.csv_scores import load_csv
from dsmix_aug.nriqa.datasets.flive import load_flive
from dsmix_aug.nriqa.datasets.kadid10k import load_kadid10k
from dsmix_aug.nriqa.datasets.koniq10k import load_koniq10k
from dsmix_aug.nriqa.datasets.live import load_live
from dsmix_aug.nriqa.datasets.live_challenge import load_live_challenge
from dsmix_aug.nriqa.datasets.names import check_dataset_name
from dsmix_aug.nriqa.datasets.photo_folder import HELD_OUT_EVERY, load_photo_folder
from dsmix_aug.nriqa.datasets.photos import PhotoSet
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.datasets.tid2013 import load_tid2013

#: Loaders of scored datasets by the name that ``--data name=path`` gives: folder as unpacked -> :class:`ScoredSet`.
LOADERS: dict[str, Callable[[Path], ScoredSet]] = {
    "live": load_live,
    "csiq": load_csiq,
    "tid2013": load_tid2013,
    "kadid10k": load_kadid10k,
    "live_challenge": load_live_challenge,
    "koniq10k": load_koniq10k,
    "flive": load_flive,
    "biq2021": load_biq2021,
}


def load_photos(source: str, min_side: int, held_out_every: int = HELD_OUT_EVERY) -> PhotoSet:
    """Return pristine photos.

    Args:
        source: ``"skimage"``, or a folder.
        min_side: Smallest height and width in px.
        held_out_every: One photo of so many is held out. Those inside scikit-image are parted by hand.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If it holds no photo that can be used.
    """
    if source == "skimage":
        return load_skimage_photos(min_side)
    return load_photo_folder(Path(source), min_side, held_out_every)


def load_scored_set(name: str, path: Path, allow_outside: bool = False) -> ScoredSet:
    """Return the scored dataset at ``path``: a CSV file under any name, or the folder of one of :data:`LOADERS`.

    Args:
        name: Name of the dataset, see :func:`check_dataset_name`.
        path: The CSV file or folder.
        allow_outside: Whether a CSV file may list images outside of its folder.

    Raises:
        FileNotFoundError: If ``path``, or a part of the dataset in it, is missing.
        ValueError: If the name cannot be one, there is no loader of that name and ``path`` is not a CSV file, or the
            data is not as expected.
    """
    check_dataset_name(name)
    if path.suffix.lower() == ".csv":
        return load_csv(path, name, allow_outside=allow_outside)
    if name in LOADERS:
        return LOADERS[name](path)
    raise ValueError(
        f"data: no loader is called {name!r} (there are: {', '.join(LOADERS)}), and {path} is not a .csv file"
    )


__all__ = ["LOADERS", "ScoredSet", "check_dataset_name", "load_photos", "load_scored_set"]
