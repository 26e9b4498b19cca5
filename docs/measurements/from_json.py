"""Turn what benchmarks/bench_bank.py has measured into bank.csv, which the documentation shows.

python docs/measurements/from_json.py runs/benchmarks/bank.json
"""

import csv
import json
import sys
from pathlib import Path

LEVELS = range(1, 6)


def main() -> None:
    """Write a line per case: the least and the most CPU ms per image over its levels."""
    rows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["rows"]
    with Path(__file__).with_name("bank.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["group", "case", "low", "high"])
        for row in rows:
            costs = [row[f"level {level}"] for level in LEVELS if row.get(f"level {level}") is not None]
            costs = costs or [row["mean"]]
            own = row["library"] == "dsmix-aug"
            case = f"dsmix-aug ({row['images']})" if own else f"{row['library']} {row['call']} ({row['images']})"
            lines.writerow([row["distortion"], case, f"{min(costs):.2g}", f"{max(costs):.2g}"])


if __name__ == "__main__":
    main()
