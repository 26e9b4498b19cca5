"""LIVE-FB (FLIVE, of PaQ-2-PiQ): photos from public collections."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet
from dsmix_aug.photos.reader import photo_size

LAYOUT = (
    "LIVE-FB as its database_prep.ipynb leaves it: labels_image.csv, and database/ (or next to the file) with the "
    "photos in voc_emotic_ava/, blur_dataset/ and EE371R/"
)

#: The authors test on photos with a side above this, in px.
LARGEST_TRAINING_SIDE = 640


def load_flive(folder: Path) -> ScoredSet:
    """Return the whole photos of LIVE-FB, about 40,000, with their MOS, 0 to 100; its patches are not read.

    ``labels_image.csv`` has no column for the split; as the authors have it, photos with a side above 640 px are the
    test side. All others are the training side, the authors' validation photos among them, which the file does not
    mark.

    File and folders are known from the authors' repository, and the rule of the split from their code; this loader has
    not run on the real data.

    Source: Ying et al., "From Patches to Pictures (PaQ-2-PiQ): Mapping the Perceptual Space of Picture Quality", CVPR
    2020.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, no photo can be read, or all that can are on one side.
    """
    scores = find_in_archive(folder, LAYOUT, "labels_image.csv", "database/labels_image.csv")
    images = folder / "database" if (folder / "database").is_dir() else folder
    table = read_csv_table(scores, {"name": "image", "mos": "score"})
    table["split"] = ["test" if _is_large(images / name) else "train" for name in table["image"]]
    return make_scored_set("flive", "MOS (0 to 100)", images, table)


def _is_large(path: Path) -> bool:
    try:
        return max(photo_size(path)) > LARGEST_TRAINING_SIDE
    except OSError:
        return False  # is left out anyway, with a warning that says why
