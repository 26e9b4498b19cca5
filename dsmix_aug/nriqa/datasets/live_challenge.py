"""LIVE In the Wild Image Quality Challenge (CLIVE): photos from mobile cameras."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dsmix_aug.nriqa.datasets.score_table import find_in_archive, make_scored_set, read_mat_variable
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

LAYOUT = "LIVE Challenge as unpacked: Data/AllImages_release.mat, Data/AllMOS_release.mat, and the photos in Images/"

#: The first photos of the list showed the observers what was asked of them; they lie in Images/trainingImages/.
SHOWN_TO_OBSERVERS = 7


def load_live_challenge(folder: Path) -> ScoredSet:
    """Return the 1,162 photos of LIVE Challenge, with their MOS, 0 to 100; the 7 shown for practice are left out.

    The layout is that of the archive's notes and of other toolboxes' loaders; this loader has not run on the real
    archive.

    Source: Ghadiyaram, Bovik, "Massive Online Crowdsourced Study of Subjective and Objective Picture Quality", IEEE TIP
    25(1), 2016.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no photo can be read.
    """
    names_file = find_in_archive(folder, LAYOUT, "Data/AllImages_release.mat")
    scores_file = find_in_archive(folder, LAYOUT, "Data/AllMOS_release.mat")
    images = find_in_archive(folder, LAYOUT, "Images")
    names = read_mat_variable(names_file, "AllImages_release")
    scores = read_mat_variable(scores_file, "AllMOS_release").astype(float)
    if len(names) != len(scores) or len(names) <= SHOWN_TO_OBSERVERS:
        raise ValueError(
            f"{folder}: AllImages_release and AllMOS_release should have equal lengths above {SHOWN_TO_OBSERVERS}, "
            f"got {len(names)} and {len(scores)}"
        )
    table = pd.DataFrame({"image": [str(name) for name in names], "score": scores})[SHOWN_TO_OBSERVERS:]
    return make_scored_set("live_challenge", "MOS (0 to 100)", images, table)
