"""How long does `import dsmix_aug` take, beside `import torchvision`? User and system time of fresh processes.

    python benchmarks/bench_import.py

The statements alternate, so that whatever else the machine does meets all; a row has a statement's median and its ratio
to torchvision's. `import dsmix_aug` loads classes when they are first asked for; `from dsmix_aug import DSMix` does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from _harness import argument_parser, environment, report

BASELINE = "import torchvision"
STATEMENTS = (BASELINE, "import dsmix_aug", "import torchvision.transforms.v2", "from dsmix_aug import DSMix")


def main() -> None:
    """Measure and print the table."""
    parser = argument_parser(__doc__ or "", "runs/benchmarks/import.json")
    parser.set_defaults(rounds=10)
    args = parser.parse_args()
    for statement in STATEMENTS:  # files come into the system's cache
        cpu_seconds_of(statement)
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(2 if args.smoke else args.rounds):
        for statement in STATEMENTS:
            times[statement].append(cpu_seconds_of(statement))
    medians = {statement: statistics.median(seconds) for statement, seconds in times.items()}
    rows = [
        {"statement": statement, "median_s": median, "ratio": median / medians[BASELINE]}
        for statement, median in medians.items()
    ]
    report("Import", rows, environment(), args.output)


def cpu_seconds_of(statement: str) -> float:
    """Return user and system time of a fresh Python that runs a statement, in s."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
