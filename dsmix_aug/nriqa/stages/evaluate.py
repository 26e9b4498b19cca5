"""Stage 4: judge the predictions of every row, within each dataset and across datasets."""

from __future__ import annotations

import pandas as pd

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.metrics import score
from dsmix_aug.nriqa.stages.probe import read_predictions

PART = "evaluate"


def run_evaluate(run: Run) -> None:
    """Write ``results.csv``: for each row and pair of datasets the median over splits of SRCC, PLCC, KRCC and RMSE."""
    if run.is_finished(PART):
        return
    predictions = read_predictions(run)
    with run.part(PART):
        if distributed.rank() == 0:
            with replace_when_done(run.folder / "results.csv") as temporary:
                summarize(predictions, run).to_csv(temporary, index=False)


def read_results(run: Run) -> pd.DataFrame:
    """Return what :func:`run_evaluate` wrote.

    Raises:
        FileNotFoundError: If the stage is not finished.
    """
    if not run.is_finished(PART):
        raise FileNotFoundError(f"{run.folder} has no results: run the stage 'evaluate' first")
    return pd.read_csv(run.folder / "results.csv")


def summarize(predictions: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Return the table of results; a NaN in one split makes the median NaN, so that it is seen."""
    targets = {scored.name: scored.target for scored in run.scored_sets}
    keys = ["row", "trained_on", "tested_on"]
    table = []
    for key, group in predictions.groupby(keys, sort=False):
        splits = [score(split["prediction"], split["target"]) for _, split in group.groupby("split")]
        scores = pd.DataFrame(splits)
        medians = scores.median(skipna=False).to_dict()
        entry = dict(zip(keys, key, strict=True))
        table.append(
            {
                **entry,
                "title": run.rows[entry["row"]].title,
                "target": targets[entry["tested_on"]],
                **medians,
                "srcc_min": scores["srcc"].min(skipna=False),
                "srcc_max": scores["srcc"].max(skipna=False),
                "splits": len(splits),
                "images": group["image"].nunique(),
            }
        )
    return pd.DataFrame(table)
