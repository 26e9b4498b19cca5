"""LIVE Image Quality Assessment Database, release 2: 29 references, 5 distortion types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set, read_mat_variable
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

#: The folders in the order of the score files, and how many images each has: img1.bmp, img2.bmp and so on.
FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
LAYOUT = (
    "LIVE release 2 as unpacked: dmos_realigned.mat or dmos.mat, refnames_all.mat, and the images in "
    f"{', '.join(FOLDERS)}"
)


def load_live(folder: Path) -> ScoredSet:
    """Return the 779 distorted images of LIVE release 2, with 100 - DMOS.

    The folders also hold a copy of each reference in each type, marked in ``orgs``: these are left out. Scores come
    from ``dmos_realigned.mat`` (``dmos_new``), which puts the five types on one scale; without it from ``dmos.mat``
    (``dmos``).

    The layout is that of other toolboxes' loaders, except the variable in ``dmos.mat``, which could not be checked;
    this loader has not run on the real archive.

    Source: Sheikh, Sabir, Bovik, "A Statistical Evaluation of Recent Full Reference Image Quality Assessment
    Algorithms", IEEE TIP 15(11), 2006.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no image can be read.
    """
    scores_file = find_in_archive(folder, LAYOUT, "dmos_realigned.mat", "dmos.mat")
    references_file = find_in_archive(folder, LAYOUT, "refnames_all.mat")
    for name in FOLDERS:
        find_in_archive(folder, LAYOUT, name)
    dmos = read_mat_variable(scores_file, "dmos_new" if scores_file.name == "dmos_realigned.mat" else "dmos")
    is_pristine = read_mat_variable(scores_file, "orgs").astype(bool)
    references = read_mat_variable(references_file, "refnames_all")
    images = [f"{name}/img{number}.bmp" for name, count in FOLDERS.items() for number in range(1, count + 1)]
    for variable, values in (("the DMOS", dmos), ("orgs", is_pristine), ("refnames_all", references)):
        if len(values) != len(images):
            raise ValueError(f"{folder}: {variable} should have {len(images)} entries, got {len(values)}")
    table = pd.DataFrame(
        {"image": images, "score": 100 - dmos.astype(float), "reference": [str(name) for name in references]}
    )
    return make_scored_set("live", "100 - DMOS", folder, table[np.logical_not(is_pristine)])
