"""The table of predictions: written by the probe, read by evaluation, comparison and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dsmix_aug.nriqa.base.csv_files import read_csv, write_csv
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: The columns and their types. ``image`` is the path relative to the dataset's root; images of one ``content`` show
#: one photo.
COLUMNS = {
    "row": str,
    "trained_on": str,
    "tested_on": str,
    "split": int,
    "image": str,
    "content": str,
    "target": float,
    "prediction": float,
}
#: A median over splits is taken for each combination of these.
KEYS = ["row", "trained_on", "tested_on"]
#: In the column ``split``: trained on all of one dataset, tested on all of another.
ACROSS_DATASETS = -1


@dataclass(frozen=True)
class Predictions:
    """Predicted and true scores of the images on the test side of every split.

    Attributes:
        table: One line for each row, pair of datasets, split and image, with the :data:`COLUMNS`.

    Raises:
        ValueError: If a column is missing, or one of them has an image twice in one split.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        missing = [name for name in COLUMNS if name not in self.table]
        if missing:
            raise ValueError(f"predictions should have the columns {', '.join(COLUMNS)}, got no {missing[0]!r}")
        twice = self.table.duplicated([*KEYS, "split", "image"])
        if twice.any():
            image = self.table["image"][twice].iloc[0]
            raise ValueError(
                f"predictions: {image!r} is there twice in one split; older versions kept only the last part of an "
                "image's path, and so mixed up images of equal name in several folders"
            )

    @classmethod
    def of(
        cls, row: str, trained_on: str, tested: ScoredSet, split: int, indices: np.ndarray, values: np.ndarray
    ) -> Predictions:
        """Return what a row's probe, trained on one dataset, predicts for some images of a dataset.

        Args:
            row: Name of the row.
            trained_on: Name of the dataset that the probe was fitted to.
            tested: The dataset of the images.
            split: Number of the split, or :data:`ACROSS_DATASETS`.
            indices: Numbers of the images in ``tested``.
            values: The predictions for them.
        """
        entries = {"row": row, "trained_on": trained_on, "tested_on": tested.name, "split": split}
        images = [tested.relative_name(tested.images[index]) for index in indices]
        contents = [tested.groups[index] for index in indices]
        columns = {
            **entries,
            "image": images,
            "content": contents,
            "target": tested.scores[indices],
            "prediction": values,
        }
        return cls(pd.DataFrame(columns))

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return several tables as one."""
        return cls(pd.concat([part.table for part in parts], ignore_index=True))

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what :meth:`write` wrote.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is damaged.
        """
        return cls(pd.DataFrame(read_csv(path, COLUMNS)))

    def write(self, path: Path) -> None:
        """Write the table to a CSV file, in one piece."""
        write_csv(path, self.table[list(COLUMNS)].to_dict("list"))
