"""Draw docs/_static/ablation.svg: the differences of docs/results/ablation_differences.csv with their intervals.

python docs/figures/ablation.py
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent.parent
TABLE = DOCS / "results" / "ablation_differences.csv"
OUT = DOCS / "_static" / "ablation.svg"
EXCLUDES_ZERO, INCLUDES_ZERO = "#c4511f", "#3b6fb6"


def read_interval(cell: str) -> tuple[float, float, float]:
    """Return difference, lower and upper bound of a cell such as ``+0.013 (+0.002 to +0.023)``."""
    value, low, high = (float(number) for number in re.findall(r"[+-][\d.]+", cell))
    return value, low, high


def main() -> None:
    """Draw one panel per test set and one line per difference."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    names = [f"{line['model']}  minus  {line['baseline']}" for line in lines]
    test_sets = [name for name in lines[0] if name not in ("model", "baseline")]

    mpl.rcParams.update({"svg.hashsalt": "ablation", "font.size": 10})
    figure, panels = plt.subplots(1, len(test_sets), figsize=(11.5, 4.6), sharey=True, layout="constrained")
    for panel, test_set in zip(panels, test_sets, strict=True):
        panel.axvline(0, color="#888888", linewidth=1)
        for height, line in enumerate(lines):
            if not line[test_set]:
                continue
            value, low, high = read_interval(line[test_set])
            color = EXCLUDES_ZERO if low > 0 or high < 0 else INCLUDES_ZERO
            panel.plot((low, high), (height, height), color=color, linewidth=2)
            panel.plot(value, height, "o", color=color, markersize=5)
        panel.set(title=test_set, xlabel="difference in SRCC")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.savefig(OUT, metadata={"Date": None})


if __name__ == "__main__":
    main()
