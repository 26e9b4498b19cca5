"""What the loaders of scored datasets share: a table of images and scores, from an archive's files to a ScoredSet.

Such a table has the columns ``image`` (a path relative to the images' folder), ``score`` (higher is better), and where
there are any, ``reference`` (a name that images of one content share) and ``split`` (``train`` or ``test``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat

from dsmix_aug.nriqa.base.files import fingerprint
from dsmix_aug.nriqa.datasets.photos import check_photos, photo_fingerprint
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet


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
    """Return the files below a folder, relative to it, by their names in lower case.

    Some archives spell a file in one case and list it in another, which only some file systems forgive.
    """
    return {
        path.name.lower(): path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def read_csv_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read a CSV file of images and scores.

    Args:
        path: The file.
        columns: The file's names of the columns to keep -> ``image``, ``score``, ``reference`` or ``split``.

    Raises:
        ValueError: If it is no CSV file, a column is missing, or a row lacks one or has no finite score.
    """
    table = _read_csv(path, dtype={given: str for given, column in columns.items() if column != "score"})
    if not set(columns) <= set(table):
        raise ValueError(
            f"{path} should have the columns {', '.join(columns)}, got {', '.join(map(str, table.columns))}"
        )
    table = table[list(columns)].rename(columns=columns)
    table["score"] = pd.to_numeric(table["score"], errors="coerce").replace([np.inf, -np.inf], np.nan)
    lacking = table.isna()
    if lacking.any(axis=None):
        row = lacking.any(axis=1).idxmax()
        column = lacking.loc[row].idxmax()
        raise ValueError(f"{path}: line {row + 2} has no {'finite score' if column == 'score' else column}")
    return table


def csv_columns(path: Path) -> list[str]:
    """Return the names of a CSV file's columns.

    Raises:
        ValueError: If it is no CSV file.
    """
    return list(_read_csv(path, nrows=0))


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, skipinitialspace=True, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file ({error})") from error


def read_mat_variable(path: Path, variable: str) -> np.ndarray:
    """Read one variable of a MATLAB file as a vector; cells of text become strings.

    Raises:
        ValueError: If it is no MATLAB file (5 or 7; 7.3 is not read) or has no such variable.
    """
    try:
        content = loadmat(path, squeeze_me=True)
    except Exception as error:  # damaged files make SciPy raise errors of many types
        raise ValueError(f"{path} is no MATLAB file that can be read ({error})") from error
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


def make_scored_set(name: str, target: str, folder: Path, table: pd.DataFrame) -> ScoredSet:
    """Return the images of a table that can be read, with their scores; the others are named in a warning each.

    Args:
        name: Name of the dataset.
        target: What the scores are, in words.
        folder: What the table's images are relative to.
        table: Columns ``image`` and ``score``, optional ``reference`` and ``split``; see this module.

    Raises:
        ValueError: If an image is listed twice, a score is not finite, no image can be used, or those that can leave
            a side of the split empty.
    """
    if table["image"].duplicated().any():
        raise ValueError(f"{name}: {table['image'][table['image'].duplicated()].iloc[0]} is listed twice")
    if not np.isfinite(table["score"]).all():
        raise ValueError(f"{name}: {table['image'][~np.isfinite(table['score'])].iloc[0]} has no finite score")
    listed = [folder / image for image in table["image"]]
    images, skipped = check_photos(listed)
    usable = set(images)
    table = table[[image in usable for image in listed]]
    if "split" in table and set(table["split"]) != {"train", "test"}:
        raise ValueError(f"{name}: split should have images of both sides, got only {table['split'].iloc[0]}")
    scores = table["score"].to_numpy(float)
    groups = table["reference"] if "reference" in table else table["image"]
    return ScoredSet(
        name=name,
        target=target,
        images=tuple(images),
        scores=scores,
        groups=tuple(groups),
        split=tuple(table["split"]) if "split" in table else None,
        skipped=tuple(skipped),
        fingerprint=fingerprint(photo_fingerprint(images), *scores, *groups, *table.get("split", [])),
        root=folder,
    )
