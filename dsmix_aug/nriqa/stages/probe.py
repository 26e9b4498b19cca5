"""Stage 3: freeze each row's network, and predict scores from its features by ridge regression."""

from __future__ import annotations

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
            tables.append(_predict(probe, features[scored.name], scored, scored, number, test))
        probe = fit_probe(features[scored.name], widths, scored.scores, contents)
        description = {
            "row": name,
            "dataset": scored.name,
            "target": scored.target,
            "score_range": [float(scored.scores.min()), float(scored.scores.max())],
        }
        probe.save(head_path(run.folder, name, scored.name), description)
        for other in run.scored_sets:
            if other is not scored:
                everything = np.arange(len(other.images))
                tables.append(_predict(probe, features[other.name], scored, other, ACROSS_DATASETS, everything))
    return pd.concat(tables).assign(row=name)


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
    probe: LinearProbe, features: np.ndarray, trained: ScoredSet, tested: ScoredSet, split: int, indices: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trained_on": trained.name,
            "tested_on": tested.name,
            "split": split,
            "image": [tested.images[index].name for index in indices],
            "target": tested.scores[indices],
            "prediction": probe.predict(features[indices]),
        }
    )
