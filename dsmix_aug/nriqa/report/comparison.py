"""Rows of several runs that differ only in seed and rows: means over seeds, and differences with a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from dsmix_aug._progress import track
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
        for row, baseline in track(pairs, f"bootstrap, {trained} -> {tested}", "pairs"):
            values = _replicate(group, row, baseline, replicates, np.random.default_rng(seed))
            low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            names = {"row": row, "baseline": baseline, "trained_on": trained, "tested_on": tested}
            table.append({**names, "srcc_difference": values[0], "low": low, "high": high})
    return pd.DataFrame(table)


def _without_seed(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.deciding().items() if name not in ("seed", "rows")}


class _Split(NamedTuple):
    """The test side of one split of one run: numbers of the images' contents, and what both rows predict."""

    contents: np.ndarray
    prediction: np.ndarray
    baseline: np.ndarray
    target: np.ndarray


def _replicate(group: pd.DataFrame, row: str, baseline: str, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean difference in SRCC of the data, then of each replicate."""
    numbers, names = pd.factorize(group["content"])
    runs = _pair_up(group.assign(content=numbers), row, baseline)
    values = [np.mean([_difference(run, np.ones(len(names), int)) for run in runs])]
    for _ in range(replicates):
        counts = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)))
        differences_of_runs = [
            _difference(run, counts) if times else 0.0 for run, times in zip(runs, drawn, strict=True)
        ]
        values.append(np.average(differences_of_runs, weights=drawn))
    return np.array(values)


def _pair_up(group: pd.DataFrame, row: str, baseline: str) -> list[list[_Split]]:
    """Return the splits of each seed that has both rows."""
    keys = ["seed", "split", "image"]
    own, other = (group[group["row"] == name] for name in (row, baseline))
    both = own.merge(other[[*keys, "prediction"]], on=keys, suffixes=("", "_baseline"))
    if both.empty:
        raise ValueError(f"pairs: rows {row!r} and {baseline!r} have no seed in common")
    columns = ["content", "prediction", "prediction_baseline", "target"]
    return [
        [_Split(*split[columns].to_numpy().T) for _, split in run.groupby("split")] for _, run in both.groupby("seed")
    ]


def _difference(splits: Sequence[_Split], counts: np.ndarray) -> float:
    """Return the difference of two rows' median SRCC over splits, with each content counted ``counts`` times."""
    values = []
    for split in splits:
        chosen = np.repeat(np.arange(len(split.contents)), counts[split.contents.astype(int)])
        ranks = stats.rankdata(np.stack([split.prediction, split.baseline, split.target])[:, chosen], axis=1)
        correlations = np.corrcoef(ranks)
        values.append(correlations[:2, 2])
    own, baseline = np.median(values, axis=0)
    return float(own - baseline)
