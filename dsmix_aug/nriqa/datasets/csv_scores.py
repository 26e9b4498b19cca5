"""Any dataset as a CSV file: image, score, and where there are any, reference and split."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.nriqa.datasets.csv_table import csv_columns, read_csv_table
from dsmix_aug.nriqa.datasets.score_table import make_scored_set, map_split
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

SPLIT_NAMES = {"train": "train", "test": "test", "validation": "test"}


def load_csv(path: Path, name: str, target: str | None = None, allow_outside: bool = False) -> ScoredSet:
    """Return the images of a CSV file, with their scores.

    Columns, in upper or lower case: ``image``, a path relative to the file's folder; ``score`` or ``mos``, higher is
    better; optional ``reference``, any name that images of one content share; optional ``split``, ``train`` or else
    ``test`` or ``validation``. An image that is missing or cannot be read is named in a warning and left out.

    Args:
        path: The CSV file.
        name: Name of the dataset.
        target: What the scores are, in words; by default the name of their column, ``"score"`` or ``"MOS"``.
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
    return make_scored_set(name, target or ("MOS" if "mos" in columns else "score"), path.parent, table, allow_outside)


def _columns(path: Path) -> dict[str, str]:
    """Return which of the columns above the file has, and what each is."""
    names = csv_columns(path)
    given = {name.casefold() for name in names}
    score = "score" if "score" in given else "mos"
    if not {"image", score} <= set(given):
        raise ValueError(f"{path} should have the columns image and score (or mos), got {', '.join(names)}")
    return {"image": "image", score: "score"} | {name: name for name in ("reference", "split") if name in given}
