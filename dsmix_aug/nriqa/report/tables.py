"""Results as text for a terminal."""

from __future__ import annotations

import pandas as pd

from dsmix_aug.nriqa.runs.folder import RunFolder

METRICS = ("srcc", "plcc", "krcc", "rmse")


def caveat(run: RunFolder) -> str:
    """Return what goes with every number of a run: what it is worth, and what the target is."""
    targets = "; ".join(f"{name}: {target}" for name, target in run.targets.items())
    return f"{run.remark} Target: {targets}."


def format_table(results: pd.DataFrame) -> str:
    """Return the results as text for a terminal."""
    across = (results["trained_on"] != results["tested_on"]).any()
    columns = ["title", *(["trained_on"] if across else []), "tested_on", *METRICS]
    table = results[columns].rename(columns={"title": "features", **{name: name.upper() for name in METRICS}})
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")
