"""The photos that a subcommand is given: files, folders, or a list on stdin."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

HELP = "photos, or folders of photos with their subfolders; - reads paths from stdin, one a line or NUL-separated"


class Photo(NamedTuple):
    """A photo and its name: its path inside the folder that was given, with forward slashes."""

    path: Path
    name: str


def add_photos_argument(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument PHOTO."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help=HELP)


def list_photos(given: Sequence[str]) -> list[Photo]:
    """Return the photos that the arguments name, each path once.

    Raises:
        FileNotFoundError: If there is no file or folder of that name.
        ValueError: If a folder or the list on stdin holds no photo.
    """
    photos: dict[Path, Photo] = {}
    for argument in given:
        if argument != "-" and not Path(argument).exists():
            raise FileNotFoundError(f"PHOTO: there is no file or folder {argument}")
        for path in _read_stdin() if argument == "-" else [Path(argument)]:
            for photo in _in_folder(path) if path.is_dir() else [Photo(path, path.name)]:
                photos.setdefault(photo.path, photo)
    return list(photos.values())


def output_stems(photos: Iterable[Photo]) -> list[str]:
    """Return where each photo's outputs go: its name without the suffix, which is kept where two would be one.

    Raises:
        ValueError: If two photos of different folders have one name.

    Example:
        >>> output_stems([Photo(Path("in/cat.png"), "cat.png"), Photo(Path("in/cat.jpg"), "cat.jpg")])
        ['cat', 'cat_jpg']
    """
    taken: dict[str, Photo] = {}
    named: dict[str, Photo] = {}
    for photo in photos:
        suffix = PurePosixPath(photo.name).suffix
        stem = photo.name.removesuffix(suffix)
        if stem in taken:
            stem = f"{stem}_{suffix[1:]}"
        other = named.get(photo.name) or taken.get(stem)
        if other is not None:
            raise ValueError(f"PHOTO: {other.path} and {photo.path} would have outputs of one name")
        taken[stem] = named[photo.name] = photo
    return list(taken)


def why_unreadable(photo: Photo, error: Exception) -> str:
    """Return what was wrong with a photo, without the path in front of it."""
    text = str(error)
    for start in (" cannot be read: ", " cannot be scored: ", ": "):
        text = text.removeprefix(f"{photo.path}{start}")
    return text


def _read_stdin() -> list[Path]:
    content = sys.stdin.buffer.read()
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    paths = [Path(os.fsdecode(line)) for line in lines if line]
    if not paths:
        raise ValueError("PHOTO: the list on stdin is empty")
    return paths


def _in_folder(folder: Path) -> list[Photo]:
    from dsmix_aug.photos import listing

    return [Photo(path, path.relative_to(folder).as_posix()) for path in listing.list_photos(folder)]
