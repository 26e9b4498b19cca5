"""Rows of several runs that differ only in seed and rows: means over seeds, and differences with a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsmix_aug._progress import track
from dsmix_aug.nriqa.report.bootstrap import Bootstrap
from dsmix_aug.nriqa.runs.config import Config, differences
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.predictions import KEYS
from dsmix_aug.nriqa.runs.rows import ROWS
from dsmix_aug.nriqa.stages.metrics import median_over_splits, score_splits

LEVEL = 0.95


def read_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the predictions of finished runs that differ only in their seed and rows, with a column ``seed``.

    A row may be missing in some of the runs; it then counts with the seeds that have it. Runs of one seed may share out
    its rows.

    Raises:
        FileNotFoundError: If a folder holds no run, or a run has no predictions.
        ValueError: If two runs have a row with one seed, or differ in more than seed and rows, or one cannot be read.
    """
    tables: list[pd.DataFrame] = []
    first: dict[str, Any] | None = None
    known: set[tuple[int, str]] = set()
    for run in map(RunFolder, folders):
        seed = run.config.seed
        common = {"config": _without_seed(run.config), "data": run.fingerprints}
        first = first or common
        changed = differences(first, common)
        if changed:
            raise ValueError(f"{run.folder} is not another seed of {folders[0]}; what differs: {'; '.join(changed)}")
        table = run.predictions.table.assign(seed=seed)
        for row in dict.fromkeys(table["row"]):
            if (seed, row) in known:
                raise ValueError(f"{run.folder} has row {row!r} with seed {seed}, as another of the runs")
            known.add((seed, row))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def average(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of each row and pair of datasets: mean over seeds of the median over splits."""
    by_seed = [*KEYS, "seed"]
    medians = median_over_splits(score_splits(predictions, by_seed), by_seed)
    seeds = medians.groupby(KEYS, sort=False)
    means = seeds.agg(lambda column: column.mean(skipna=False))
    spread = seeds["srcc"].std().where(seeds.size() > 1, 0)
    table = means.assign(srcc_sd=spread, seeds=seeds.size()).reset_index()
    return table.assign(title=[ROWS[name].title for name in table["row"]])


def compare(predictions: pd.DataFrame, pairs: Sequence[tuple[str, str]], replicates: int, seed: int) -> pd.DataFrame:
    """Return the difference in SRCC of pairs of rows, with a 95 % interval from a paired bootstrap.

    The difference is that of the two rows' SRCC as :func:`average` has it, over the seeds that both rows have. A
    replicate draws contents, each with all of its images, and seeds with replacement, the same for both rows: images
    that show one photo are not independent of one another.

    Args:
        predictions: From :func:`read_runs`.
        pairs: (row, row it is compared with).
        replicates: Number of replicates.
        seed: Seed of the draws.

    Raises:
        ValueError: If a row has no predictions, or two rows have no seed in common.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile intervals).
    """
    known = set(predictions["row"])
    for name in {name for pair in pairs for name in pair} - known:
        raise ValueError(f"pairs: the runs have no row {name!r}; they have {', '.join(sorted(known))}")
    table = []
    for (trained, tested), group in predictions.groupby(KEYS[1:], sort=False):
        bootstrap = Bootstrap(group, replicates, seed)
        for row, baseline in track(pairs, f"bootstrap, {trained} -> {tested}", "pairs"):
            values = bootstrap.difference(row, baseline)
            low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            names = {"row": row, "baseline": baseline, "trained_on": trained, "tested_on": tested}
            table.append({**names, "srcc_difference": values[0], "low": low, "high": high})
    return pd.DataFrame(table)


def _without_seed(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.deciding().items() if name not in ("seed", "rows")}
