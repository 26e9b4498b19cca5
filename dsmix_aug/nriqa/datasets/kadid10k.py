"""KADID-10k: 81 references, 25 distortion types at 5 levels."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

LAYOUT = "KADID-10k as unpacked: dmos.csv, and images/ with I01_01_01.png and so on"


def load_kadid10k(folder: Path) -> ScoredSet:
    """Return the 10,125 distorted images of KADID-10k; the column "dmos" is higher for better images, 1 to 5.

    The layout is that of other toolboxes' loaders; this loader has not run on the real archive.

    Source: Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no image can be read.
    """
    scores = find_in_archive(folder, LAYOUT, "dmos.csv")
    images = find_in_archive(folder, LAYOUT, "images")
    table = read_csv_table(scores, {"dist_img": "image", "ref_img": "reference", "dmos": "score"})
    return make_scored_set("kadid10k", "MOS (the archive's dmos, 1 to 5)", images, table)
