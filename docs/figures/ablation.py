"""Draw docs/_static/ablation.svg and dsm_study.svg: differences of docs/results/*_differences.csv with their intervals.

python docs/figures/ablation.py
"""

from __future__ import annotations

import csv
import re
from collections.abc import Container
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent.parent
EXCLUDES_ZERO, INCLUDES_ZERO = "#c4511f", "#3b6fb6"


def read_interval(cell: str) -> tuple[float, float, float]:
    """Return difference, lower and upper bound of a cell such as ``+0.013 (+0.002 to +0.023)``."""
    value, low, high = (float(number) for number in re.findall(r"[+-][\d.]+", cell))
    return value, low, high


def draw(name: str, left_out: Container[str] = ()) -> None:
    """Draw one panel per test set and one line per difference.

    Args:
        name: The table is ``results/NAME_differences.csv``, the picture ``_static/NAME.svg``.
        left_out: Baselines to leave out.
    """
    with (DOCS / "results" / f"{name}_differences.csv").open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["baseline"] not in left_out]
    names = [f"{line['model']}  minus  {line['baseline']}" for line in lines]
    test_sets = [head for head in lines[0] if head not in ("model", "baseline")]

    mpl.rcParams.update({"svg.hashsalt": "ablation", "font.size": 10})
    height = 1.2 + 0.31 * len(lines)
    figure, panels = plt.subplots(1, len(test_sets), figsize=(11.5, height), sharey=True, layout="constrained")
    for panel, test_set in zip(panels, test_sets, strict=True):
        panel.axvline(0, color="#888888", linewidth=1)
        for number, line in enumerate(lines):
            if not line[test_set]:
                continue
            value, low, high = read_interval(line[test_set])
            color = EXCLUDES_ZERO if low > 0 or high < 0 else INCLUDES_ZERO
            panel.plot((low, high), (number, number), color=color, linewidth=2)
            panel.plot(value, number, "o", color=color, markersize=5)
        panel.set(title=test_set.replace(", ", ",\n"), xlabel="difference in SRCC")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.savefig(DOCS / "_static" / f"{name}.svg", metadata={"Date": None})


def main() -> None:
    """Draw both."""
    draw("ablation")
    draw("dsm_study", left_out=("teacher",))  # it is far from all others


if __name__ == "__main__":
    main()
