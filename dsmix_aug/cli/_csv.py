"""CSV tables that are written line by line, and are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from dsmix_aug.nriqa.base.csv_files import quote_formula
from dsmix_aug.nriqa.base.files import replace_when_done


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Write a table to a file in one piece; names that are not Unicode keep their bytes."""
    with (
        replace_when_done(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        print_csv(file, columns, rows)


def print_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Write a table to an open file; a text that could be taken for a formula gets an apostrophe in front."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([quote_formula(cell) for cell in row] for row in rows)
