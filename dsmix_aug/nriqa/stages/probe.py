"""Stage 3: frozen backbones, and from their features to scores one probe for each row and dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.datasets.photos import photo_fingerprint
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import cached_features, join_features
from dsmix_aug.nriqa.networks.joint_probe import TrainingSet, fit_joint_probe
from dsmix_aug.nriqa.networks.probe import Probe, fit_probe
from dsmix_aug.nriqa.runs.names import PROBE
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
    features, widths = row_features(run, name)
    units, seed = run.config.hidden_units, derive_seed(run.config.seed, PROBE)
    parts = []
    for scored in run.scored_sets:
        contents, own = np.array(scored.groups), features[scored.name]
        for number, (train, test) in enumerate(make_splits(scored, run.config.split_count, run.config.seed)):
            probe = fit_probe(own[train], widths, scored.scores[train], contents[train], hidden_units=units, seed=seed)
            parts.append(Predictions.of(name, scored.name, scored, number, test, probe.predict(own[test])))
        probe = fit_probe(own, widths, scored.scores, contents, hidden_units=units, seed=seed)
        probe.save(run.probe_path(name, scored.name), _describe_probe(name, scored.name, scored))
        others = [other for other in run.scored_sets if other is not scored]
        parts += [_predict_all(probe, name, scored.name, other, features[other.name]) for other in others]
    if run.config.joint:
        parts += _probe_jointly(run, name, features, widths)
    return Predictions.join(parts)


def _probe_jointly(run: Run, name: str, features: dict[str, np.ndarray], widths: Sequence[int]) -> list[Predictions]:
    """Fit one probe to the datasets of ``config.joint`` together: for each split, and to all of their images.

    Each dataset is split as when it is probed by itself; one with fewer splits starts again from its first.
    """
    config = run.config
    by_name = {scored.name: scored for scored in run.scored_sets}
    names = [given.dataset for given in config.joined]
    joined = [by_name[name] for name in names]
    weights = [given.weight for given in config.joined]
    scales = [names.index(given.scale_of) for given in config.joined]
    title = config.joint_name

    whole = training_sets(run, name, joined, features)

    def fit(indices: Sequence[np.ndarray]) -> tuple[Probe, tuple[float, ...]]:
        sets = [given.select(train) for given, train in zip(whole, indices, strict=True)]
        seed = derive_seed(config.seed, PROBE)
        return fit_joint_probe(sets, widths, weights, config.hidden_units, seed, scales)

    parts = []
    splits = [make_splits(scored, config.split_count, config.seed) for scored in joined]
    for number in range(max(map(len, splits))):
        sides = [own[number % len(own)] for own in splits]
        probe, _ = fit([train for train, _ in sides])
        for scored, (_, test) in zip(joined, sides, strict=True):
            values = probe.predict(features[scored.name][test])
            parts.append(Predictions.of(name, title, scored, number, test, values))
    probe, used = fit([np.arange(len(scored.images)) for scored in joined])
    probe.save(run.probe_path(name, title), {**_describe_probe(name, title, joined[0]), "weights": list(used)})
    others = [other for other in run.scored_sets if other not in joined]
    return parts + [_predict_all(probe, name, title, other, features[other.name]) for other in others]


def _predict_all(probe: Probe, row: str, trained_on: str, tested: ScoredSet, features: np.ndarray) -> Predictions:
    everything = np.arange(len(tested.images))
    return Predictions.of(row, trained_on, tested, ACROSS_DATASETS, everything, probe.predict(features))


def _describe_probe(row: str, dataset: str, scale_of: ScoredSet) -> dict[str, Any]:
    return {
        "row": row,
        "dataset": dataset,
        "target": scale_of.target,
        "score_range": [float(scale_of.scores.min()), float(scale_of.scores.max())],
    }


def row_features(run: Run, name: str) -> tuple[dict[str, np.ndarray], list[int]]:
    """Return a row's features of each dataset, and the widths of their groups."""
    networks = run.networks(name, run.device)
    features: dict[str, np.ndarray] = {}
    widths: list[int] = []
    for scored in run.scored_sets:
        features[scored.name], widths = _features_of(
            run, name, networks, scored.images, scored.fingerprint, scored.name
        )
    return features, widths


def training_sets(
    run: Run, name: str, scored_sets: Sequence[ScoredSet], features: Mapping[str, np.ndarray]
) -> list[TrainingSet]:
    """Return what a joint probe is fitted to: a row's features of some datasets, and those of their references.

    Args:
        run: The run.
        name: Name of the row.
        scored_sets: The datasets.
        features: The row's features of each dataset, as :func:`row_features` returns them.
    """
    networks = run.networks(name, run.device)
    return [
        TrainingSet(
            features[scored.name],
            scored.scores,
            np.array(scored.groups),
            _reference_features(run, name, networks, scored),
        )
        for scored in scored_sets
    ]


def _reference_features(run: Run, name: str, networks: Sequence[Backbone], scored: ScoredSet) -> np.ndarray | None:
    """Return a row's features of each image's reference, (N, D), NaN where it has none; ``None`` where none has."""
    files = sorted(set(filter(None, scored.references)))  # datasets of the same photos share their features
    if not files:
        return None
    title = f"references of {scored.name}"
    features, _ = _features_of(run, name, networks, files, photo_fingerprint(files), title)
    numbers = {file: number for number, file in enumerate(files)}
    order = [len(files) if file is None else numbers[file] for file in scored.references]
    return np.concatenate([features, np.full_like(features[:1], np.nan)])[order]


def _features_of(
    run: Run, name: str, networks: Sequence[Backbone], images: Sequence[Path], key: str, title: str
) -> tuple[np.ndarray, list[int]]:
    """Return a row's features of images, and the widths of their groups."""
    row, folder, autocast = run.rows[name], run.folder.parent / FEATURE_CACHE, run.config.feature_autocast
    pooled = [
        cached_features(network, images, key, folder, run.device, autocast, f"features: {network_name}, {title}")
        for network, network_name in zip(networks, row.networks, strict=True)
    ]
    return join_features(row, networks, pooled)
