"""Which files of a folder are photos, and which are not and so ignored, by suffix."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dsmix_aug.photos.reader import readable_formats


class Listing(NamedTuple):
    """The files of a folder: ``photos``, sorted, and how many others there are of each suffix."""

    photos: list[Path]
    ignored: Counter[str]


def list_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder and its subfolders, sorted: :func:`find_photos` without the count of others."""
    return find_photos(folder).photos


def find_photos(folder: Path) -> Listing:
    """Return the photos in a folder and its subfolders, by suffix, and count the other files.

    Linked subfolders are followed, each folder once, so that links in a circle do no harm. Files and folders whose name
    begins with a dot are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If no photo is in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    suffixes = {suffix for format_suffixes in readable_formats().values() for suffix in format_suffixes}
    files = list(walk_files(folder))
    photos = sorted(path for path in files if path.suffix.lower() in suffixes)
    ignored = Counter(path.suffix.lower() for path in files if path.suffix.lower() not in suffixes)
    if not photos:
        others = f"; {describe_ignored(ignored)}" if ignored else ""
        raise ValueError(f"{folder} holds no photo ({', '.join(sorted(suffixes))}){others}")
    return Listing(photos, ignored)


def describe_ignored(ignored: Counter[str]) -> str:
    """Say how many files were not photos: ``"3 other files ignored: .txt"``.

    Example:
        >>> describe_ignored(Counter({".txt": 2, ".csv": 1}))
        '3 other files ignored: 1 .csv, 2 .txt'
    """
    named = {suffix or "without suffix": count for suffix, count in sorted(ignored.items())}
    kinds = [name if len(named) == 1 else f"{count} {name}" for name, count in named.items()]
    return f"{ignored.total()} other file{'s' * (ignored.total() != 1)} ignored: {', '.join(kinds)}"


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden ones; a folder that cannot be read is named in a warning.

    Each folder is met once, under its own name where it has one below ``folder``, else under the first link to it.
    """
    starts = [folder]
    met: set[tuple[int, int]] = set()
    for start in starts:  # grows: links are followed after all real folders
        for root, folders, files in os.walk(start, onerror=_warn):
            status = Path(root).stat()
            if (status.st_dev, status.st_ino) in met:
                folders.clear()
                continue
            met.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            starts += [Path(root, name) for name in folders if Path(root, name).is_symlink()]
            yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def _warn(error: OSError) -> None:
    warnings.warn(f"skipped the folder {error.filename}: {error.strerror}", stacklevel=2)
