"""TID2013: 25 references, 24 distortion types at 5 levels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dsmix_aug.nriqa.datasets.score_table import files_by_lower_name, find_in_archive, make_scored_set
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

LAYOUT = "TID2013 as unpacked: mos_with_names.txt, and distorted_images/ with i01_01_1.bmp and so on"


def load_tid2013(folder: Path) -> ScoredSet:
    """Return the 3,000 distorted images of TID2013, with their MOS, 0 to 9.

    A line of ``mos_with_names.txt`` is a score and a file name, whose first three characters name the reference. Upper
    and lower case of names differ between the list and the files, and count as equal.

    The layout is that of other toolboxes' loaders; this loader has not run on the real archive.

    Source: Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives", Signal Processing:
    Image Communication 30, 2015.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no image can be read.
    """
    listed = find_in_archive(folder, LAYOUT, "mos_with_names.txt")
    images = find_in_archive(folder, LAYOUT, "distorted_images")
    files = files_by_lower_name(images)
    rows = []
    for number, line in enumerate(listed.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            score, name = _parse(line, number, listed)
            rows.append({"image": files.get(name.lower(), name), "score": score, "reference": name[:3].upper()})
    if not rows:
        raise ValueError(f"{listed} is empty; expected {LAYOUT}")
    return make_scored_set("tid2013", "MOS (0 to 9)", images, pd.DataFrame(rows))


def _parse(line: str, number: int, listed: Path) -> tuple[float, str]:
    try:
        score, name = line.split()
        return float(score), name
    except ValueError as error:
        raise ValueError(f"{listed}: line {number} should be a score and a file name, got {line!r}") from error
