"""Compare every row of the ablation: five seeds of the rows that answer a question, one of the others.

Each seed is a run of nriqa_pipeline.py in a folder of its own; started again, unfinished runs go on and finished ones
are kept. At the end come each row's means, and differences with intervals.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EXAMPLES = Path(__file__).parent
SEEDS = (10, 11, 12, 13, 14)  # those before were used up by choosing settings
MAIN_ROWS = ("no_mixing", "cutmix", "dsmix", "dsmix_shuffled")
MAIN_ROWS_BESIDE_TEACHER = tuple(f"teacher_and_{row}" for row in MAIN_ROWS)
PAIRS = (
    *(f"dsmix:{row}" for row in ("cutmix", "dsmix_shuffled", "no_mixing", "teacher")),
    *(f"teacher_and_dsmix:{row}" for row in (*MAIN_ROWS_BESIDE_TEACHER[:2], "teacher_and_dsmix_shuffled", "teacher")),
)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--photos", required=True, help="folder of pristine photos")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH", help="a dataset with scores")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, with an equal share of the cores each")
    args = parser.parse_args()

    data = [part for given in args.data for part in ("--data", given)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // args.jobs))}

    def run(seed: int) -> None:
        rows = [] if seed == SEEDS[0] else ["--rows", *MAIN_ROWS, *MAIN_ROWS_BESIDE_TEACHER, "teacher"]
        where = ["--out", str(args.out), "--name", f"seed{seed}", "--photos", args.photos]
        command = ["--preset", "ablation", "--seed", str(seed), "--stages", "pretrain", "probe", "evaluate"]
        pipeline = [sys.executable, str(EXAMPLES / "nriqa_pipeline.py")]
        subprocess.run([*pipeline, *command, *where, *data, *rows], env=environment, check=True)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(run, SEEDS))
    folders = [str(args.out / f"seed{seed}") for seed in SEEDS]
    compare = [sys.executable, str(EXAMPLES / "compare_runs.py"), *folders]
    subprocess.run([*compare, "--pairs", *PAIRS, "--out", str(args.out)], check=True)


if __name__ == "__main__":
    main()
