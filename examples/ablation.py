"""Compare every row of the ablation: several seeds of the rows that answer a question, one of the others.

Each seed is a run of nriqa_pipeline.py in a folder of its own; started again, unfinished runs go on and finished ones
are kept. At the end come each row's means, and differences with intervals. Arguments that are not listed here, such as
--photos and --data, go to nriqa_pipeline.py.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EXAMPLES = Path(__file__).parent
MAIN_ROWS = ("no_mixing", "cutmix", "dsmix", "dsmix_shuffled")
BESIDE_TEACHER = tuple(f"teacher_and_{row}" for row in MAIN_ROWS)
PAIRS = (
    *(("dsmix", baseline) for baseline in ("cutmix", "dsmix_shuffled", "no_mixing", "teacher")),
    *(("teacher_and_dsmix", f"teacher_and_{baseline}") for baseline in ("cutmix", "dsmix_shuffled", "no_mixing")),
    *((row, "teacher") for row in BESIDE_TEACHER),
)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11, 12, 13, 14], help="the first runs every row")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the runs and tables")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, with an equal share of the cores each")
    args, for_pipeline = parser.parse_known_args()

    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // args.jobs))}

    def start(script: str, *arguments: str) -> None:
        subprocess.run([sys.executable, str(EXAMPLES / script), *arguments], env=environment, check=True)

    def run(seed: int) -> None:
        rows = [] if seed == args.seeds[0] else ["--rows", *MAIN_ROWS, *BESIDE_TEACHER, "teacher"]
        where = ["--out", str(args.out), "--name", f"seed{seed}", "--seed", str(seed)]
        what = ["--preset", "ablation", "--stages", "pretrain", "probe", "evaluate"]
        start("nriqa_pipeline.py", *where, *what, *rows, *for_pipeline)

    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(run, args.seeds))
        folders = [str(args.out / f"seed{seed}") for seed in args.seeds]
        start("compare_runs.py", *folders, "--pairs", *map(":".join, PAIRS), "--out", str(args.out))
    except subprocess.CalledProcessError as error:  # the script has said why
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
