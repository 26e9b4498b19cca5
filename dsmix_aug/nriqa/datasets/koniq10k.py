"""KonIQ-10k: photos as people took them."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set, map_split
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

WITH_SPLIT = "koniq10k_distributions_sets.csv"
WITHOUT_SPLIT = "koniq10k_scores_and_distributions.csv"
LAYOUT = f"KonIQ-10k as unpacked: {WITH_SPLIT} or {WITHOUT_SPLIT}, and the photos in 1024x768/ or 512x384/"

#: The official validation photos are for choosing settings, which the probe does inside its training photos.
SIDES = {"training": "train", "validation": "train", "test": "test"}


def load_koniq10k(folder: Path) -> ScoredSet:
    """Return the 10,073 photos of KonIQ-10k, with their MOS, 0 to 100.

    ``koniq10k_distributions_sets.csv``, which the authors publish with their code, has the official split; without
    it the scores come from ``koniq10k_scores_and_distributions.csv``, column MOS_zscore (MOS in the other file), and
    there is no split. Photos at 1024x768 are preferred to those at 512x384.

    The file with the split is known from the authors' repository, the rest from other toolboxes' loaders; this loader
    has not run on the real archive.

    Source: Hosu, Lin, Sziranyi, Saupe, "KonIQ-10k: An Ecologically Valid Database for Deep Learning of Blind Image
    Quality Assessment", IEEE TIP 29, 2020.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no photo can be read.
    """
    scores = find_in_archive(folder, LAYOUT, WITH_SPLIT, WITHOUT_SPLIT)
    images = find_in_archive(folder, LAYOUT, "1024x768", "512x384")
    if scores.name == WITH_SPLIT:
        table = read_csv_table(scores, {"image_name": "image", "MOS": "score", "set": "split"})
        table["split"] = map_split(table["split"], SIDES, scores)
    else:
        table = read_csv_table(scores, {"image_name": "image", "MOS_zscore": "score"})
    return make_scored_set("koniq10k", "MOS (0 to 100)", images, table)
