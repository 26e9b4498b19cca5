"""Tables of images and scores in CSV files as spreadsheets and scripts write them."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pandas as pd

#: A file's separator is the one that parts its header most; the first of several.
SEPARATORS = (",", ";", "\t")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_csv_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read a CSV file of images and scores: UTF-8, separated by comma, semicolon or tab.

    Blanks around cells are dropped. Every other text is a name, ``NA`` and ``None`` too. Empty cells at a row's end do
    no harm.

    Args:
        path: The file.
        columns: The file's names of the columns to keep, in upper or lower case, -> ``image``, ``score``, ``reference``
            or ``split``.

    Raises:
        ValueError: If it is not a CSV file, a column is missing, no image is listed, a row has more cells than the
            header or lacks one that is needed, or a score is not a finite number.
    """
    header, rows = _read_rows(path)
    places = {column: _find_column(header, given, columns, path) for given, column in columns.items()}
    if not rows:
        raise ValueError(f"{path} lists no image")
    content: dict[str, list[str] | list[float]] = {}
    for column, place in places.items():
        cells = [(line, row[place] if place < len(row) else "") for line, row in rows]
        if column == "score":
            content[column] = [_parse_score(cell, line, path) for line, cell in cells]
        else:
            content[column] = [_check_name(cell, column, line, path) for line, cell in cells]
    return pd.DataFrame(content)


def csv_columns(path: Path) -> list[str]:
    """Return the names of a CSV file's columns.

    Raises:
        ValueError: If it is not a CSV file.
    """
    return _read_rows(path)[0]


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return a CSV file's header, and its other rows that are not blank, each with the number of its line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = next((line for line in file if line.strip()), "")
            separator = max(SEPARATORS, key=lambda one: len(next(csv.reader([start], delimiter=one), [])))
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
            stripped = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
            rows = [(line, row) for line, row in stripped if any(row)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file ({error})") from error
    if not rows:
        raise ValueError(f"{path} is not a CSV file (it is empty)")
    (_, header), *rows = rows
    for line, row in rows:
        if any(row[len(header) :]):
            hint = "; numbers need a decimal point, and names with a comma need quotes" if separator == "," else ""
            raise ValueError(f"{path}: line {line} has {len(row)} cells, the header {len(header)}{hint}")
    return header, rows


def _find_column(header: list[str], given: str, columns: dict[str, str], path: Path) -> int:
    places = [place for place, name in enumerate(header) if name.casefold() == given.casefold()]
    if not places:
        raise ValueError(f"{path} should have the columns {', '.join(columns)}, got {', '.join(header)}")
    if len(places) > 1:
        raise ValueError(f"{path} has the column {given} twice: {', '.join(header)}")
    return places[0]


def _parse_score(cell: str, line: int, path: Path) -> float:
    if DECIMAL_COMMA.fullmatch(cell):
        raise ValueError(
            f"{path}: line {line} has the score {cell} with a decimal comma; write {cell.replace(',', '.')}"
        )
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not math.isfinite(score) or "_" in cell:  # Python takes 1_0 for 10
        raise ValueError(f"{path}: line {line} has no finite score, got {cell!r}")
    return score


def _check_name(cell: str, column: str, line: int, path: Path) -> str:
    if not cell:
        raise ValueError(f"{path}: line {line} has no {column}")
    return cell
