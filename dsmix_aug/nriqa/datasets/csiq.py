"""CSIQ: 30 references, 6 distortion types at 4 or 5 levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from dsmix_aug.nriqa.datasets.score_table import files_by_lower_name, find_in_archive, make_scored_set
from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

SHEET = "all_by_image"
LAYOUT = (
    f"CSIQ as unpacked: csiq.DMOS.xlsx with the sheet {SHEET}, and dst_imgs/ with a folder per distortion type, "
    "such as AWGN/1600.AWGN.1.png"
)

#: Types as the sheet calls them, without blanks -> as file names do.
TYPES = {
    "noise": "AWGN",
    "blur": "BLUR",
    "contrast": "contrast",
    "fnoise": "fnoise",
    "jpeg": "JPEG",
    "jpeg2000": "jpeg2000",
}


def load_csiq(folder: Path) -> ScoredSet:
    """Return the 866 distorted images of CSIQ, with 1 - DMOS, 0 to 1.

    The layout is that of other toolboxes' loaders, which disagree on where the sheet's table begins and on the case of
    folder names: neither matters here. This loader has not run on the real archive.

    Source: Larson, Chandler, "Most apparent distortion: full-reference image quality assessment and the role of
    strategy", J. Electron. Imaging 19(1) 011006, 2010.

    Raises:
        FileNotFoundError: If a part of the archive is missing.
        ValueError: If a part of it is not as expected, or no image can be read.
    """
    scores_file = find_in_archive(folder, LAYOUT, "csiq.DMOS.xlsx")
    images = find_in_archive(folder, LAYOUT, "dst_imgs")
    sheet = _read_sheet(scores_file)
    files = files_by_lower_name(images)
    names = [
        _file_name(*row, scores_file) for row in zip(sheet["image"], sheet["dst_type"], sheet["dst_lev"], strict=True)
    ]
    table = pd.DataFrame(
        {
            "image": [files.get(name.lower(), name) for name in names],
            "score": 1 - pd.to_numeric(sheet["dmos"], errors="coerce"),
            "reference": [_as_text(name) for name in sheet["image"]],
        }
    )
    return make_scored_set("csiq", "1 - DMOS (0 to 1)", images, table)


def _read_sheet(path: Path) -> pd.DataFrame:
    """Return the sheet's table, wherever it begins on the sheet: blank rows and columns may come first."""
    try:
        cells = pd.read_excel(path, sheet_name=SHEET, header=None, dtype=object)
    except (ValueError, KeyError, BadZipFile, OSError) as error:
        raise ValueError(f"{path} is not an Excel file with the sheet {SHEET} ({error})") from error
    wanted = ["image", "dst_type", "dst_lev", "dmos"]
    headings = [row for row in range(len(cells)) if set(wanted) <= set(cells.iloc[row].map(_as_text))]
    if not headings:
        raise ValueError(f"{path}: the sheet {SHEET} should have the columns {', '.join(wanted)}")
    table = cells.iloc[headings[0] + 1 :].copy()
    table.columns = cells.iloc[headings[0]].map(_as_text)
    return table[wanted].dropna(how="all")


def _file_name(image: Any, distortion: Any, level: Any, path: Path) -> str:
    given = _as_text(distortion).replace(" ", "").lower()
    if given not in TYPES:
        raise ValueError(f"{path}: dst_type should be one of {', '.join(TYPES)}, got {distortion!r}")
    return f"{_as_text(image)}.{TYPES[given]}.{_as_text(level)}.png"


def _as_text(cell: Any) -> str:
    """Return a cell as text; one image is called 1600, which a sheet keeps as a number."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
