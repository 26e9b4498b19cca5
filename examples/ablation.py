"""Run a study: several seeds of the rows that answer its question, and their differences.

--study ablation compares every row, the others with the first seed only; --study dsm asks whether it is the DSM that
matters (docs/ablation.rst).

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
from typing import NamedTuple

from dsmix_aug.nriqa.runs.rows import DSM_STUDY_ROWS

EXAMPLES = Path(__file__).parent
MAIN_ROWS = ("no_mixing", "cutmix", "dsmix", "dsmix_shuffled")
BESIDE_TEACHER = tuple(f"teacher_and_{row}" for row in MAIN_ROWS)
PAIRS = (
    *(("dsmix", baseline) for baseline in ("cutmix", "dsmix_shuffled", "no_mixing", "teacher")),
    *(("teacher_and_dsmix", f"teacher_and_{baseline}") for baseline in ("cutmix", "dsmix_shuffled", "no_mixing")),
    *((row, "teacher") for row in BESIDE_TEACHER),
)


class Study(NamedTuple):
    """A preset, its seeds, the rows that each seed runs, whether the first runs all of the preset's, and the pairs."""

    preset: str
    seeds: tuple[int, ...]
    rows: tuple[str, ...]
    all_rows_once: bool
    pairs: tuple[tuple[str, str], ...]
    remark: str = ""


DSM_ROWS = ("dsmix_opinions", "dsmix_annoyance", "dsmix_mass_and_area", "dsmix_like_scores")
STUDIES = {
    "ablation": Study("ablation", (10, 11, 12, 13, 14), (*MAIN_ROWS, *BESIDE_TEACHER, "teacher"), True, PAIRS),
    "dsm": Study(
        "dsm_study",
        (20, 21, 22),
        DSM_STUDY_ROWS,
        False,
        (
            *((row, f"{row}_shuffled") for row in DSM_ROWS),
            *((row, "cutmix_opinions") for row in DSM_ROWS),
            *((row, "no_mixing_opinions") for row in (*DSM_ROWS, "cutmix_opinions")),
            *((row, "teacher") for row in ("no_mixing_opinions", *DSM_ROWS)),
            *((row, "dsmix_opinions") for row in DSM_ROWS[1:]),
        ),
        "On the dataset opinions the score of an image is the mean of its class: a table that knows the class, and "
        "never looks at the image, has an SRCC of 1 there, and of 0.938 with KADID-10k's scores of single images.",
    ),
}


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--study", choices=list(STUDIES), default="ablation", help="which question to ask")
    parser.add_argument("--seeds", nargs="+", type=int, help="(default: the study's)")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the runs and tables")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, with an equal share of the cores each")
    args, for_pipeline = parser.parse_known_args()
    study = STUDIES[args.study]
    seeds = args.seeds or list(study.seeds)

    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // args.jobs))}

    def start(script: str, *arguments: str) -> None:
        subprocess.run([sys.executable, str(EXAMPLES / script), *arguments], env=environment, check=True)

    def run(seed: int) -> None:
        rows = [] if study.all_rows_once and seed == seeds[0] else ["--rows", *study.rows]
        where = ["--out", str(args.out), "--name", f"seed{seed}", "--seed", str(seed)]
        what = ["--preset", study.preset, "--stages", "pretrain", "probe", "evaluate"]
        start("nriqa_pipeline.py", *where, *what, *rows, *for_pipeline)

    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(run, seeds))
        folders = [str(args.out / f"seed{seed}") for seed in seeds]
        start("compare_runs.py", *folders, "--pairs", *map(":".join, study.pairs), "--out", str(args.out))
        print(study.remark)
    except subprocess.CalledProcessError as error:  # the script has said why
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
