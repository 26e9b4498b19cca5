"""The work of ``dsmix-aug make-dataset``: find what is already there, make the rest, write the final files."""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import PIL
import torch
import torchvision
from torch.utils.data import DataLoader, Subset

from dsmix_aug._progress import Progress
from dsmix_aug._version import __version__
from dsmix_aug._worker_processes import end_at_once, end_if_orphaned
from dsmix_aug.cli._csv import write_csv
from dsmix_aug.cli._dataset_images import Outcome, PhotoImages
from dsmix_aug.cli._dataset_plan import COLUMNS, Plan
from dsmix_aug.cli._dataset_readme import describe
from dsmix_aug.cli._messages import complain_of_photos
from dsmix_aug.cli._photos import Photo, list_photos, output_stems
from dsmix_aug.nriqa.base.files import (
    TEMPORARY_PREFIX,
    fingerprint,
    read_json,
    remove_half_written,
    write_json,
    write_text,
)
from dsmix_aug.nriqa.base.lock import NAME as LOCK
from dsmix_aug.nriqa.base.lock import lock_folder
from dsmix_aug.nriqa.base.names import printable

SETTINGS, SCORES, SKIPPED, README = "dataset.json", "scores.csv", "skipped.csv", "README.md"
#: Number of photos whose files are measured to estimate the size of the dataset.
MEASURED_PHOTOS = 3
#: Photos that are queued for each worker, so that none waits.
PREFETCHED = 4


def make_dataset(args: argparse.Namespace) -> int:
    """Make the dataset or what is left of it, and return the exit code."""
    plan = Plan(args.seed, None if args.all else args.per_photo, args.compose, f".{args.format}")
    photos = list_photos(args.photos)
    stems = output_stems(photos)
    folder: Path = args.output
    _check_apart(folder, args.photos)
    settings = _settings(plan, args.size, photos)
    _check_folder(folder, settings, args.force)
    _lock = lock_folder(folder)  # held until this function ends
    return _make_in(PhotoImages(photos, stems, plan, args.size, folder), settings, folder, args)


def _make_in(images: PhotoImages, settings: dict[str, Any], folder: Path, args: argparse.Namespace) -> int:
    """Make what is left of a dataset in a folder that no other process writes to, and return the exit code."""
    _prepare(folder, settings, args.force)
    if (folder / SCORES).exists():
        print(f"{printable(str(folder))} is complete; --force makes it again", file=sys.stderr)
        return 1 if (folder / SKIPPED).exists() else 0
    left = [index for index, stem in enumerate(images.stems) if not _is_made(folder, images.plan, stem)]
    total = len(images.photos)
    if len(left) < total:
        print(f"{total - len(left)} of {total} photos are done; going on", file=sys.stderr)
    _tell_room(images, left, args.workers)
    skipped = _make_all(images, left, args.workers)
    _finish(images, folder, settings, skipped)
    complain_of_photos("make-dataset", [(str(images.photos[i].path), reason) for i, reason in skipped.items()])
    count = total - len(skipped)
    print(f"{count * images.plan.images_per_photo} images of {count} photos in {printable(str(folder))}")
    return 1 if skipped else 0


def _check_apart(folder: Path, given: Sequence[str]) -> None:
    """Raise if the dataset would be written into a folder of photos, and so be read as photos the next time."""
    for argument in given:
        if argument != "-" and folder.resolve().is_relative_to(Path(argument).resolve()):
            raise ValueError(f"--output: {folder} should not be inside the photos' folder {argument}")


def _settings(plan: Plan, size: tuple[int, int] | None, photos: Sequence[Photo]) -> dict[str, Any]:
    """Return all that the files' bytes depend on."""
    return {
        "photos": len(photos),
        "photos_fingerprint": fingerprint(*(f"{photo.name!r} {_file_size(photo.path)}" for photo in photos)),
        "seed": plan.seed,
        "images_per_photo": "all" if plan.per_photo is None else plan.per_photo,
        "compose": None if plan.compose is None else list(plan.compose),
        "size": None if size is None else list(size),
        "format": plan.suffix[1:],
        "dsmix_aug": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
    }


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _check_folder(folder: Path, settings: dict[str, Any], force: bool) -> None:
    """Raise unless the folder is empty or holds a part of this dataset, or ``force`` is given.

    Raises:
        FileExistsError: If it holds something else.
    """
    if force:
        return
    if (folder / SETTINGS).exists():
        there = read_json(folder / SETTINGS)
        changed = [f"{key} {there.get(key)}, now {value}" for key, value in settings.items() if there.get(key) != value]
        if changed:
            raise FileExistsError(f"{folder} holds another dataset ({'; '.join(changed)}); --force makes it anew")
    elif folder.is_dir() and not all(_is_left_by_a_kill(path) for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, and holds no dataset of this command; --force writes into it")


def _is_left_by_a_kill(path: Path) -> bool:
    """Tell whether a run that was killed before its settings were there may have left this file."""
    return path.name == LOCK or path.name.startswith(TEMPORARY_PREFIX)


def _prepare(folder: Path, settings: dict[str, Any], force: bool) -> None:
    """Write the settings; remove half-written files, and with ``force`` a dataset that is there."""
    if force and (folder / SETTINGS).exists():
        for name in ("images", "references"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in (SCORES, SKIPPED, README, SETTINGS):
            (folder / name).unlink(missing_ok=True)
    remove_half_written(folder)
    write_json(folder / SETTINGS, settings)


def _is_made(folder: Path, plan: Plan, stem: str) -> bool:
    files = [plan.reference_of(stem), *(image.file for image in plan.images_of(stem))]
    return all((folder / file).exists() for file in files)


def _tell_room(images: PhotoImages, left: Sequence[int], workers: int) -> None:
    """Measure some photos' files, and say how much room all will take.

    Raises:
        OSError: If there is less.
    """
    chosen = [left[i * len(left) // MEASURED_PHOTOS] for i in range(MEASURED_PHOTOS)] if left else []
    measured = PhotoImages(images.photos, images.stems, images.plan, images.size, folder=None)
    sizes = [outcome.bytes for outcome in _outcomes(measured, sorted(set(chosen)), workers) if outcome.skipped is None]
    if not sizes:
        return
    needed, free = sum(sizes) / len(sizes) * len(left), shutil.disk_usage(images.folder or ".").free
    count = len(left) * images.plan.images_per_photo
    print(f"{count} images to make: about {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free", file=sys.stderr)
    if needed > free:
        raise OSError("--output: there is not enough room")


def _make_all(images: PhotoImages, left: Sequence[int], workers: int) -> dict[int, str]:
    """Make the images of the photos that are left, and return why some photos were skipped."""
    skipped = {}
    assert images.folder is not None
    try:
        with Progress("make images", len(left)) as progress, closing(_outcomes(images, left, workers)) as outcomes:
            for outcome in outcomes:
                if outcome.stopped is not None:
                    raise OSError(f"{outcome.stopped}; the same command goes on from here")
                if outcome.skipped is not None:
                    skipped[outcome.photo] = outcome.skipped
                progress.advance()
    except BaseException:
        remove_half_written(images.folder)  # by workers that were ended amid their next photo
        raise
    return skipped


def _outcomes(images: PhotoImages, indices: Sequence[int], workers: int) -> Generator[Outcome, None, None]:
    """Yield what became of each photo, in order, made by worker processes with one thread each."""
    if not indices:
        return
    others = multiprocessing.active_children()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # the user says how many
        loader: DataLoader[Outcome] = DataLoader(
            Subset(images, indices),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=min(workers, len(indices)),
            prefetch_factor=PREFETCHED,
            worker_init_fn=_start_worker,
        )
        outcomes = iter(loader)
    started = [process for process in multiprocessing.active_children() if process not in others]
    coming = iter(indices)
    try:
        for outcome in outcomes:
            next(coming)
            yield outcome
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        suspects = [str(images.photos[index].path) for index, _ in zip(coming, range(workers), strict=False)]
        reason = f"a worker process was killed, perhaps for memory, at {' or '.join(suspects) or 'the end'}"
        raise OSError(f"{reason}; the same command goes on from here") from error
    finally:
        end_at_once(started)


def _start_worker(worker: int) -> None:
    """End where nobody waits for this worker, and have glibc keep what images give back.

    To fetch it from the system anew would cost a tenth of a worker's time. glibc keeps up to twice the size of the
    largest block that was freed; 32 MiB is the largest that counts.
    """
    end_if_orphaned(worker)
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _as_it_is(outcome: Any) -> Any:
    return outcome


def _finish(images: PhotoImages, folder: Path, settings: dict[str, Any], skipped: dict[int, str]) -> None:
    """Write README, skipped photos and at last the scores, which mark the dataset as complete."""
    write_text(folder / README, describe(images.plan, settings, len(skipped)))
    if skipped:
        rows = ([images.photos[index].name, reason] for index, reason in skipped.items())
        write_csv(folder / SKIPPED, ("photo", "reason"), rows)
    lines = (row for i, stem in enumerate(images.stems) if i not in skipped for row in images.plan.rows_of(stem))
    write_csv(folder / SCORES, COLUMNS, lines)
