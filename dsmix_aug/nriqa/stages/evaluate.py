"""Stage 4: judge the predictions of every row, within each dataset and across datasets."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.runs.folder import RESULT_COLUMNS, RunFolder
from dsmix_aug.nriqa.runs.names import EVALUATE
from dsmix_aug.nriqa.runs.predictions import KEYS, Predictions
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.metrics import Scores, median_over_splits, score_splits


def run_evaluate(run: Run) -> None:
    """Write ``results.csv``: for each row and pair of datasets the median over splits of its scores."""
    if run.is_finished(EVALUATE):
        return
    predictions, targets = run.predictions, run.targets
    with run.part(EVALUATE):
        if distributed.rank() == 0:
            results = summarize(predictions, run.rows, targets)
            write_csv(run.results_path, results[list(RESULT_COLUMNS)].to_dict("list"))


def caveat(run: RunFolder) -> str:
    """Return the caveat printed with every number of a run: how far to trust it, and what the target is."""
    targets = "; ".join(f"{name}: {target}" for name, target in run.targets.items())
    return f"{run.remark} Target: {targets}."


def format_table(results: pd.DataFrame) -> str:
    """Return the results as text for a terminal."""
    across = (results["trained_on"] != results["tested_on"]).any()
    columns = ["title", *(["trained_on"] if across else []), "tested_on", *Scores._fields]
    table = results[columns].rename(columns={"title": "features", **{name: name.upper() for name in Scores._fields}})
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")


def summarize(predictions: Predictions, rows: Mapping[str, Row], targets: Mapping[str, str]) -> pd.DataFrame:
    """Return the table of results.

    Args:
        predictions: What the probes predicted.
        rows: The run's rows by name.
        targets: What the scores of each dataset are, in words.
    """
    splits = score_splits(predictions.table, KEYS)
    groups = splits.groupby(KEYS, sort=False)["srcc"]
    results = median_over_splits(splits, KEYS).assign(
        srcc_min=groups.agg(lambda column: column.min(skipna=False)),
        srcc_max=groups.agg(lambda column: column.max(skipna=False)),
        splits=groups.size(),
        images=predictions.table.groupby(KEYS, sort=False)["image"].nunique(),
    )
    results = results.reset_index()
    titles = [rows[name].title for name in results["row"]]
    return results.assign(title=titles, target=[targets[name] for name in results["tested_on"]])
