"""Stage 3: freeze each row's network, and predict scores from its features by ridge regression."""

from __future__ import annotations

import numpy as np

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import cached_features
from dsmix_aug.nriqa.networks.linear_probe import fit_probe
from dsmix_aug.nriqa.networks.row import join_features
from dsmix_aug.nriqa.runs.folder import PROBE
from dsmix_aug.nriqa.runs.predictions import ACROSS_DATASETS, Predictions
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.runs.splits import make_splits

#: Next to the run's folder: runs that differ in their seed share the teacher's features.
FEATURE_CACHE = ".features"


def run_probe(run: Run) -> None:
    """Write ``probe/predictions.csv``, and a probe for each row and dataset, trained on all of the dataset."""
    if run.is_finished(PROBE):
        return
    with run.part(PROBE):
        if distributed.rank() == 0:
            Predictions.join([_probe_row(run, name) for name in run.rows]).write(run.predictions_path)


def _probe_row(run: Run, name: str) -> Predictions:
    features, widths = _row_features(run, name)
    parts = []
    for scored in run.scored_sets:
        contents, own = np.array(scored.groups), features[scored.name]
        for number, (train, test) in enumerate(make_splits(scored, run.config.split_count, run.config.seed)):
            probe = fit_probe(own[train], widths, scored.scores[train], contents[train])
            parts.append(Predictions.of(name, scored.name, scored, number, test, probe.predict(own[test])))
        probe = fit_probe(own, widths, scored.scores, contents)
        description = {
            "row": name,
            "dataset": scored.name,
            "target": scored.target,
            "score_range": [float(scored.scores.min()), float(scored.scores.max())],
        }
        probe.save(run.probe_path(name, scored.name), description)
        for other in run.scored_sets:
            if other is not scored:
                values = probe.predict(features[other.name])
                everything = np.arange(len(other.images))
                parts.append(Predictions.of(name, scored.name, other, ACROSS_DATASETS, everything, values))
    return Predictions.join(parts)


def _row_features(run: Run, name: str) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return a row's features of each dataset, and the widths of their groups."""
    row, networks = run.rows[name], run.networks(name, run.device)
    features: dict[str, np.ndarray] = {}
    widths: list[int] = []
    for scored in run.scored_sets:
        pooled = [
            _features_of(run, scored, network, title) for network, title in zip(networks, row.networks, strict=True)
        ]
        features[scored.name], widths = join_features(row, networks, pooled)
    return features, widths


def _features_of(run: Run, scored: ScoredSet, network: Backbone, name: str) -> np.ndarray:
    return cached_features(
        network,
        scored.images,
        scored.fingerprint,
        run.folder.parent / FEATURE_CACHE,
        run.device,
        run.config.feature_autocast,
        f"features: {name}, {scored.name}",
    )
