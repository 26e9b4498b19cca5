"""Any dataset as a CSV file: image, score, and where there are any, reference and split."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dsmix_aug.nriqa.datasets.csv_table import csv_columns, read_csv_table
from dsmix_aug.nriqa.datasets.score_table import make_scored_set, map_split
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: Names of the column of scores, the first that a file has, -> what they are, in words.
TARGETS = {"score": "score", "mos": "MOS", "opinion": "opinion"}
SPLIT_NAMES = {"train": "train", "test": "test", "validation": "test"}


def load_csv(path: Path, name: str, target: str | None = None, allow_outside: bool = False) -> ScoredSet:
    """Return the images of a CSV file, with their scores.

    Columns, in upper or lower case: ``image``, a path relative to the file's folder; ``score``, ``mos`` or ``opinion``
    (the name that ``dsmix-aug make-dataset`` uses), higher is better; optional ``reference``, any name that images of
    one content share; optional ``split``, ``train`` or else ``test`` or ``validation``. An image that is missing or
    cannot be read is named in a warning and left out.

    Args:
        path: The CSV file.
        name: Name of the dataset.
        target: What the scores are, in words; by default the name of their column, ``"MOS"`` for ``mos``.
        allow_outside: Whether images may lie outside of the file's folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a score is not a finite number, no image is listed, one is listed twice or
            lies outside of the folder, a split has another name or only one side, or no image is left.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    columns = _columns(path)
    table = read_csv_table(path, columns)
    if "split" in table:
        table["split"] = map_split(table["split"], SPLIT_NAMES, path)
    return make_scored_set(name, target or TARGETS[_score_column(columns)], path.parent, table, allow_outside)


def _columns(path: Path) -> dict[str, str]:
    """Return which of the columns above the file has, and what each is."""
    names = csv_columns(path)
    given = {name.casefold() for name in names}
    score = _score_column(given)
    if not {"image", score} <= given:
        raise ValueError(f"{path} should have the columns image and score (or mos, or opinion), got {', '.join(names)}")
    return {"image": "image", score: "score"} | {name: name for name in ("reference", "split") if name in given}


def _score_column(columns: Collection[str]) -> str:
    """Return the name of the column of scores, ``"score"`` if there is none."""
    return next((name for name in TARGETS if name in columns), "score")
