"""Any dataset as a CSV file: image, score, and where there are any, reference and split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dsmix_aug.nriqa.datasets.scored_set import ScoredSet
from dsmix_aug.nriqa.files import fingerprint
from dsmix_aug.nriqa.photos import check_photos, photo_fingerprint

SPLIT_NAMES = {"train": "train", "test": "test", "validation": "test"}


def load_csv(path: Path, name: str, target: str = "score") -> ScoredSet:
    """Return the images of a CSV file, with their scores.

    Columns: ``image``, a path relative to the file's folder; ``score`` or ``mos``, higher is better; optional
    ``reference``, any name that images of one content share; optional ``split``, ``train`` or else ``test`` or
    ``validation``. An image that is missing or cannot be read is named in a warning and left out.

    Args:
        path: The CSV file.
        name: Name of the dataset.
        target: What the scores are, in words.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a score is no finite number, an image is listed twice, a split has
            another name or only one side, or no image is left.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    table = _read_table(path)
    listed = [path.parent / image for image in table["image"]]
    images, skipped = check_photos(listed)
    table = table[[image in set(images) for image in listed]]
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
    )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"image": str, "reference": str, "split": str}, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file ({error})") from error
    if "score" not in table and "mos" in table:
        table = table.rename(columns={"mos": "score"})
    if not {"image", "score"} <= set(table):
        raise ValueError(f"{path} should have the columns image and score (or mos), got {', '.join(table.columns)}")
    table["score"] = pd.to_numeric(table["score"], errors="coerce")
    if table[["image", "score"]].isna().any(axis=None) or table["score"].abs().max() == float("inf"):
        row = table[["image", "score"]].replace([float("inf"), -float("inf")], float("nan")).isna().any(axis=1).idxmax()
        raise ValueError(f"{path}: line {row + 2} has no image or no finite score")
    if table["image"].duplicated().any():
        raise ValueError(f"{path} lists {table['image'][table['image'].duplicated()].iloc[0]} twice")
    if "split" in table:
        table["split"] = _official_split(table["split"], path)
    return table


def _official_split(split: pd.Series, path: Path) -> pd.Series:
    sides = split.map(SPLIT_NAMES)
    if sides.isna().any():
        raise ValueError(f"{path}: split should be one of {', '.join(SPLIT_NAMES)}, got {split[sides.isna()].iloc[0]}")
    if set(sides) != {"train", "test"}:
        raise ValueError(f"{path}: split should have rows of both sides, got only {sides.iloc[0]}")
    return sides
