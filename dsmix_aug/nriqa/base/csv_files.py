"""CSV tables: written in one piece, safe to open in a spreadsheet, and read back as they were."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsmix_aug.nriqa.base.files import replace_when_done

#: A spreadsheet takes a cell that begins with one of these for a formula; the apostrophe is in the list because it
#: marks such cells.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
#: Names of files need not be UTF-8: bytes that are not come back as they were.
ENCODING: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a table in one piece; a text that a spreadsheet would take for a formula gets an apostrophe in front.

    Args:
        path: The file.
        columns: The columns by name, all of one length.

    Source: OWASP, "CSV Injection".
    """
    with replace_when_done(path) as temporary, temporary.open("w", **ENCODING) as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([quote_formula(cell) for cell in row] for row in zip(*columns.values(), strict=True))


def read_csv(path: Path, columns: Mapping[str, Callable[[str], Any]]) -> dict[str, list[Any]]:
    """Read columns of a table that :func:`write_csv` wrote.

    Args:
        path: The file.
        columns: The type of each column that is asked for: ``str``, ``int``, ``float`` or :func:`parse_bool`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If a column is missing, or a line is cut off or not of these types; names the file and the line.
    """
    table: dict[str, list[Any]] = {name: [] for name in columns}
    with path.open("r", **ENCODING) as file:
        reader = csv.DictReader(file, restval="", strict=True)
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"there is no column {missing[0]!r}")
            for row in reader:
                for name, kind in columns.items():
                    table[name].append(kind(_unquote(row[name])))
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}: line {max(1, reader.line_num)} is damaged ({error})") from error
    return table


def parse_bool(text: str) -> bool:
    """Return the switch that :func:`write_csv` wrote as ``True`` or ``False``."""
    if text not in ("True", "False"):
        raise ValueError(f"expected True or False, got {text!r}")
    return text == "True"


def quote_formula(cell: Any) -> Any:
    """Return a cell of a table to write, with an apostrophe in front of a text that could be taken for a formula."""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
    return cell


def _unquote(cell: str) -> str:
    return cell.removeprefix("'")
