"""Functions that the dataset loaders share: from an archive's files and a table of scores to a ScoredSet.

Such a table has the columns ``image`` (a path relative to the images' folder), ``score`` (higher is better), and where
there are any, ``reference`` (a name that images of one content share: that of a file in the images' folder, if they
were made of one) and ``split`` (``train`` or ``test``).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet
from scipy.io import loadmat

from dsmix_aug.nriqa.base.files import file_hash, fingerprint
from dsmix_aug.nriqa.datasets.photos import check_photos, part_photos, photo_fingerprint
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet
from dsmix_aug.photos.listing import walk_files


def find_in_archive(folder: Path, layout: str, *names: str) -> Path:
    """Return the first of ``names``, files or folders, that an unpacked archive has.

    Args:
        folder: The archive as unpacked.
        layout: What the archive should hold, in words, for the error.
        names: Paths relative to ``folder``, the best first.

    Raises:
        FileNotFoundError: If the folder, or each of the names in it, is missing; says what was expected.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; expected {layout}")
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{folder} has no {' or '.join(names)}; expected {layout}")


def files_by_lower_name(folder: Path) -> dict[str, str]:
    """Return the files below a folder and linked ones, relative to it, by their names in lower case.

    Some archives spell a file in one case and list it in another, which only some file systems forgive.
    """
    return {path.name.lower(): path.relative_to(folder).as_posix() for path in sorted(walk_files(folder))}


def read_mat_variable(path: Path, variable: str) -> np.ndarray:
    """Read one variable of a MATLAB file as a vector; cells of text become strings.

    Raises:
        ValueError: If it is not a MATLAB file (5 or 7; 7.3 is not read) or has no such variable.
    """
    try:
        content = loadmat(path, squeeze_me=True)
    except Exception as error:  # damaged files make SciPy raise errors of many types
        raise ValueError(f"{path} is not a MATLAB file that can be read ({error})") from error
    if variable not in content:
        got = ", ".join(key for key in content if not key.startswith("__"))
        raise ValueError(f"{path} should hold the variable {variable}, got {got or 'none'}")
    return np.atleast_1d(content[variable]).ravel()


def map_split(split: pd.Series, sides: dict[str, str], source: Path) -> pd.Series:
    """Return an official split with the dataset's names of its parts replaced by ``train`` and ``test``.

    Raises:
        ValueError: If a part has another name than those in ``sides``.
    """
    mapped = split.map(sides)
    if mapped.isna().any():
        raise ValueError(f"{source}: split should be one of {', '.join(sides)}, got {split[mapped.isna()].iloc[0]}")
    return mapped


def make_scored_set(
    name: str, target: str, folder: Path, table: pd.DataFrame, allow_outside: bool = False
) -> ScoredSet:
    """Return the images of a table that can be read, with their scores; a warning names the others.

    Images whose files are equal byte for byte are of one content, and with them all that share a reference with one of
    them, so that no split parts them.

    Args:
        name: Name of the dataset.
        target: What the scores are, in words.
        folder: What the table's images are relative to.
        table: Columns ``image`` and ``score``, optional ``reference`` and ``split``; see this module.
        allow_outside: Whether images may lie outside of ``folder``, by ``..`` or absolute paths. Links in the folder
            are followed in any case.

    Raises:
        ValueError: If no image is listed, one is listed twice or lies outside of the folder, a score is not finite, no
            image can be used, or those that can leave a side of the split empty.
    """
    if table.empty:
        raise ValueError(f"{name} lists no image")
    if not np.isfinite(table["score"]).all():
        raise ValueError(f"{name}: {table['image'][~np.isfinite(table['score'])].iloc[0]} has no finite score")
    listed = pd.Series([_place(image, name, folder, allow_outside) for image in table["image"]], table.index)
    if listed.duplicated().any():
        raise ValueError(f"{name}: {listed[listed.duplicated()].iloc[0]} is listed twice")
    images, skipped = check_photos(list(listed))
    table = table[listed.isin(images)]
    if "split" in table and set(table["split"]) != {"train", "test"}:
        raise ValueError(f"{name}: split should have images of both sides, got only {table['split'].iloc[0]}")
    scores = table["score"].to_numpy(float)
    hashes = [file_hash(image) for image in images]
    groups = _join_equal_files(table["reference"] if "reference" in table else table["image"], hashes)
    references = _find_references(table["reference"], folder) if "reference" in table else ()
    reference_hashes = [file_hash(path) for path in dict.fromkeys(filter(None, references))]
    if "split" in table:
        _warn_of_parted_files(name, images, hashes, table["split"])
    return ScoredSet(
        name=name,
        target=target,
        images=tuple(images),
        scores=scores,
        groups=groups,
        split=tuple(table["split"]) if "split" in table else None,
        skipped=tuple(skipped),
        fingerprint=fingerprint(
            photo_fingerprint(images, hashes), *scores, *groups, *table.get("split", []), *reference_hashes
        ),
        root=folder,
        references=references,
    )


def _place(image: str, name: str, folder: Path, allow_outside: bool) -> Path:
    """Return the path of an image of a table, in one spelling."""
    path = _as_path(image)
    if path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    if not allow_outside and (path.anchor or ".." in path.parts):
        raise ValueError(
            f"{name}: the image {image} lies outside of {folder}; put it there, or a link to its folder, or allow it "
            "with --allow-outside (allow_outside=True)"
        )
    return folder / path


def _as_path(name: str) -> Path:
    """Return a name in a table as a path; Windows' backslashes part folders as slashes do."""
    return Path(os.path.normpath(name.replace("\\", "/")))


def _find_references(names: Iterable[str], folder: Path) -> tuple[Path | None, ...]:
    """Return the file of each reference: ``None`` where its name is not that of a photo in the folder."""
    paths = {name: _as_path(name) for name in names}
    files = {name: folder / path for name, path in paths.items() if not path.anchor and ".." not in path.parts}
    # Of a name that no file can have, Path.is_file raises an error.
    there = [file for file in dict.fromkeys(files.values()) if os.path.isfile(file)]  # noqa: PTH113
    readable = set(part_photos(there)[0])
    usable = {name: file for name, file in files.items() if file in readable}
    return tuple(usable.get(name) for name in names)


def _join_equal_files(groups: Iterable[str], hashes: Sequence[str]) -> tuple[str, ...]:
    """Return the groups of files with those made one, under the first one's name, that have a file in common."""
    groups = list(groups)
    contents = DisjointSet(dict.fromkeys(groups))
    group_of: dict[str, str] = {}
    for group, content_hash in zip(groups, hashes, strict=True):
        contents.merge(group_of.setdefault(content_hash, group), group)
    names: dict[str, str] = {}
    return tuple(names.setdefault(contents[group], group) for group in groups)


def _warn_of_parted_files(name: str, images: Sequence[Path], hashes: Sequence[str], split: Iterable[str]) -> None:
    """Name a file that an official split has on both sides, under two names."""
    met: dict[str, tuple[Path, str]] = {}
    for image, content_hash, side in zip(images, hashes, split, strict=True):
        other, other_side = met.setdefault(content_hash, (image, side))
        if side != other_side:
            warnings.warn(f"{name}: {other} and {image} are equal, but on two sides of the split", stacklevel=4)
            return
