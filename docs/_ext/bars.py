"""The directive ``bars``: measured ranges of a CSV file as a table with a bar in each row.

The file has the columns group, case, low and high; what is ours is a case that begins with "dsmix-aug" or "DSMix". Bars
lie on a logarithmic scale; with ``:one:`` a line marks the value 1, which ratios refer to. The numbers are text, so the
table needs no alternative.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Row = Mapping[str, str]


def percent(value: float, lowest: float, highest: float) -> float:
    """Return where a value lies between the ends of a logarithmic scale."""
    return 100 * math.log(value / lowest) / math.log(highest / lowest)


def bar_of(row: Row, ends: tuple[float, float], one: bool) -> str:
    """Return the bar of a row."""
    left, right = (percent(float(row[key]), *ends) for key in ("low", "high"))
    style = f' style="--one: {percent(1, *ends):.1f}%"' if one else ""
    peer = "" if row["case"].lower().startswith(("dsmix", "sensitivity")) else ' class="peer"'
    return (
        f'<span class="track" aria-hidden="true"{style}>'
        f'<span{peer} style="left: {left:.1f}%; width: {right - left:.1f}%"></span></span>'
    )


def written_range(row: Row) -> str:
    """Return the range in words."""
    return row["low"] if row["low"] == row["high"] else f"{row['low']} to {row['high']}"


def table_of(rows: Sequence[Row], caption: str, unit: str, one: bool) -> str:
    """Return the table, with a heading above each group of rows."""
    ends = (0.9 * min(float(row["low"]) for row in rows), 1.1 * max(float(row["high"]) for row in rows))
    head = f'<th scope="col">case</th><th scope="col"></th><th scope="col">{escape(unit)}</th>'
    parts = [f'<table class="docutils bars"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>']
    for group, members in groupby(rows, key=lambda row: row["group"]):
        parts.append(f'<tbody><tr><th colspan="3" scope="rowgroup">{escape(group)}</th></tr>')
        for row in members:
            cells = f'<td>{escape(row["case"])}</td><td class="bar">{bar_of(row, ends, one)}</td>'
            parts.append(f"<tr>{cells}<td>{written_range(row)}</td></tr>")
        parts.append("</tbody>")
    return "".join([*parts, "</table>"])


class Bars(SphinxDirective):
    """``.. bars:: measurements/mixing.csv``."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012  docutils declares it as a plain attribute
        "caption": directives.unchanged_required,
        "unit": directives.unchanged_required,
        "one": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Draw the table."""
        path = Path(self.env.srcdir) / self.arguments[0]
        self.env.note_dependency(str(path))
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        html = table_of(rows, self.options["caption"], self.options["unit"], "one" in self.options)
        return [nodes.raw("", f'<div class="table-wrapper">{html}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("bars", Bars)
    return {"parallel_read_safe": True}
