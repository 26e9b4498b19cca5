"""Stage 3: freeze each row's network, and predict scores from its features by ridge regression."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import cached_features, group_widths, select_last_map
from dsmix_aug.nriqa.networks.joint_probe import TrainingSet, fit_joint_probe
from dsmix_aug.nriqa.networks.linear_probe import LinearProbe, fit_probe
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.metrics import make_splits
from dsmix_aug.nriqa.stages.pretrain import load_networks

PART = "probe"
#: Beside the run's folder: runs that differ in their seed share the teacher's features.
FEATURE_CACHE = ".features"
#: In the column ``split`` of the predictions: trained on all of one dataset, tested on all of another.
ACROSS_DATASETS = -1


def run_probe(run: Run) -> None:
    """Write ``probe/predictions.csv``, and a head for each row and dataset, trained on all of the dataset."""
    if run.is_finished(PART):
        return
    with run.part(PART) as folder:
        if distributed.rank() == 0:
            tables = [_probe_row(run, name) for name in run.rows]
            with replace_when_done(folder / "predictions.csv") as temporary:
                pd.concat(tables).to_csv(temporary, index=False)


def read_predictions(run: Run) -> pd.DataFrame:
    """Return the predictions: columns row, trained_on, tested_on, split, image, target, prediction.

    Raises:
        FileNotFoundError: If the stage is not finished.
    """
    if not run.is_finished(PART):
        raise FileNotFoundError(f"{run.folder} has no predictions: run the stage 'probe' first")
    return pd.read_csv(run.folder / PART / "predictions.csv")


def head_path(folder: Path, row: str, dataset: str) -> Path:
    """Return where the head of a row and dataset is, in a run's folder."""
    return folder / PART / f"{row}-{dataset.replace(' ', '_')}.safetensors"


def find_head(folder: Path, row: str, dataset: str | None = None) -> Path:
    """Return the head of a row and dataset in a run's folder; by default that of the first dataset by name.

    Raises:
        FileNotFoundError: If there is none; names what there is.
    """
    heads = sorted((folder / PART).glob("*.safetensors"))
    wanted = [path for path in heads if path.stem.startswith(f"{row}-")]
    if dataset is not None:
        wanted = [path for path in wanted if path == head_path(folder, row, dataset)]
    if not wanted:
        raise FileNotFoundError(
            f"{folder} has no probe of row {row!r} and dataset {dataset or 'any'!r}; it has: "
            f"{', '.join(path.stem for path in heads) or 'none, run the stage probe first'}"
        )
    return wanted[0]


def row_features(
    row: Row, networks: Sequence[Backbone], features_of: Callable[[Backbone, str], np.ndarray]
) -> tuple[np.ndarray, list[int]]:
    """Return a row's features of some images, side by side, and the widths of their groups.

    Args:
        row: The row.
        networks: Its networks.
        features_of: Called with a network and its name, returns the network's pooled features of the images.
    """
    columns, widths = [], []
    for network, name in zip(networks, row.networks, strict=True):
        features, channels = features_of(network, name), network.channels
        if row.last_layer_only:
            features, channels = select_last_map(features, channels), channels[-1:]
        columns.append(features)
        widths += group_widths(channels)
    return np.concatenate(columns, axis=1), widths


def _probe_row(run: Run, name: str) -> pd.DataFrame:
    row = run.rows[name]
    networks = load_networks(run.folder, run.config, row, run.device)
    features = {}
    for scored in run.scored_sets:
        features[scored.name], widths = row_features(row, networks, partial(_features_of, run, scored))
    tables = []
    for scored in run.scored_sets:
        contents = np.array(scored.groups)
        for number, (train, test) in enumerate(make_splits(scored, run.config.split_count, run.config.seed)):
            probe = fit_probe(features[scored.name][train], widths, scored.scores[train], contents[train])
            tables.append(_predict(probe, features[scored.name], scored.name, scored, number, test))
        probe = fit_probe(features[scored.name], widths, scored.scores, contents)
        probe.save(head_path(run.folder, name, scored.name), _describe_head(name, scored.name, scored))
        for other in run.scored_sets:
            if other is not scored:
                everything = np.arange(len(other.images))
                tables.append(_predict(probe, features[other.name], scored.name, other, ACROSS_DATASETS, everything))
    if run.config.joint:
        tables += _probe_jointly(run, name, features, widths)
    return pd.concat(tables).assign(row=name)


def _probe_jointly(run: Run, name: str, features: dict[str, np.ndarray], widths: Sequence[int]) -> list[pd.DataFrame]:
    """Fit one probe to the datasets of ``config.joint`` together: for each split, and to all of their images.

    Each dataset is split as when it is probed by itself; one with fewer splits starts again from its first.
    """
    config = run.config
    by_name = {scored.name: scored for scored in run.scored_sets}
    joined = [by_name[dataset] for dataset, _ in config.joint]
    weights = [weight for _, weight in config.joint]
    title = "+".join(scored.name for scored in joined)

    def fit(indices: Sequence[np.ndarray]) -> tuple[LinearProbe, tuple[float, ...]]:
        sets = [
            TrainingSet(features[scored.name][train], scored.scores[train], np.array(scored.groups)[train])
            for scored, train in zip(joined, indices, strict=True)
        ]
        return fit_joint_probe(sets, widths, weights)

    tables = []
    splits = [make_splits(scored, config.split_count, config.seed) for scored in joined]
    for number in range(max(map(len, splits))):
        sides = [own[number % len(own)] for own in splits]
        probe, _ = fit([train for train, _ in sides])
        for scored, (_, test) in zip(joined, sides, strict=True):
            tables.append(_predict(probe, features[scored.name], title, scored, number, test))
    probe, used = fit([np.arange(len(scored.images)) for scored in joined])
    described = _describe_head(name, title, joined[0])
    probe.save(head_path(run.folder, name, title), {**described, "weights": json.dumps(used)})
    for other in run.scored_sets:
        if other.name not in dict(config.joint):
            everything = np.arange(len(other.images))
            tables.append(_predict(probe, features[other.name], title, other, ACROSS_DATASETS, everything))
    return tables


def _describe_head(row: str, dataset: str, scale_of: ScoredSet) -> dict[str, str]:
    return {
        "row": row,
        "dataset": dataset,
        "target": scale_of.target,
        "score_range": json.dumps([float(scale_of.scores.min()), float(scale_of.scores.max())]),
    }


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


def _predict(
    probe: LinearProbe, features: np.ndarray, trained_on: str, tested: ScoredSet, split: int, indices: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trained_on": trained_on,
            "tested_on": tested.name,
            "split": split,
            "image": [tested.images[index].name for index in indices],
            "target": tested.scores[indices],
            "prediction": probe.predict(features[indices]),
        }
    )
