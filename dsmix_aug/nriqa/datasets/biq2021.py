"""BIQ2021: photos as people took them, some with faults made on purpose while taking them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

LAYOUT = (
    "BIQ2021's repository: 'Train (Images and MOS).csv' and 'Test (Images and MOS).csv' (or the older Train.csv and "
    "Test.csv), and the photos in Images/"
)


def load_biq2021(folder: Path) -> ScoredSet:
    """Return the 12,000 photos of BIQ2021, with their MOS, about 0 to 1, and the official split: 10,000 and 2,000.

    Files and columns are known from the authors' repository; this loader has not run on all of it.

    Source: Ahmed, Asif, "BIQ2021: a large-scale blind image quality assessment database", J. Electron. Imaging 31(5)
    053010, 2022.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no photo can be read.
    """
    train = find_in_archive(folder, LAYOUT, "Train (Images and MOS).csv", "Train.csv")
    # The older pair has other scores: never one file of each.
    test = find_in_archive(folder, LAYOUT, train.name.replace("Train", "Test"))
    images = find_in_archive(folder, LAYOUT, "Images")
    columns = {"Image Name": "image", "MOS": "score"}
    parts = [read_csv_table(path, columns).assign(split=side) for path, side in ((train, "train"), (test, "test"))]
    return make_scored_set("biq2021", "MOS (0 to 1)", images, pd.concat(parts, ignore_index=True))
