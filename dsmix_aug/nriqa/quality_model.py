"""A quality model: frozen networks and a probe, from photos to scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsmix_aug.nriqa.backbones import Backbone
from dsmix_aug.nriqa.config import Config
from dsmix_aug.nriqa.features import extract_features
from dsmix_aug.nriqa.files import read_json
from dsmix_aug.nriqa.linear_probe import LinearProbe
from dsmix_aug.nriqa.rows import Row, rows_of
from dsmix_aug.nriqa.stages.pretrain import load_network
from dsmix_aug.nriqa.stages.probe import find_head, row_features


@dataclass(frozen=True)
class QualityModel:
    """Photos -> scores.

    Attributes:
        row: Whose features it uses.
        networks: The row's networks, in eval mode on ``device``.
        probe: From features to scores.
        target: What the scores are, in words.
        trained_on: The dataset that the probe was fitted to.
        remark: What its scores are worth.
        device: Device of the networks.
        autocast: Whether they run under bfloat16 autocast.
    """

    row: Row
    networks: tuple[Backbone, ...]
    probe: LinearProbe
    target: str
    trained_on: str
    remark: str
    device: str
    autocast: bool

    def score(self, photos: Sequence[Path]) -> np.ndarray:
        """Return the scores of photos, (N,) float64, higher is better."""

        def features_of(network: Backbone, name: str) -> np.ndarray:
            return extract_features(network, photos, self.device, self.autocast, f"features: {name}")

        features, _ = row_features(self.row, self.networks, features_of)
        return self.probe.predict(features)


def load_from_run(folder: Path, row_name: str | None, dataset: str | None, device: str) -> QualityModel:
    """Return the quality model of a finished run.

    Args:
        folder: The run's folder.
        row_name: The row; by default the run's first.
        dataset: The dataset whose scores to predict; by default the first by name.
        device: Where to put the networks.

    Raises:
        FileNotFoundError: If the run, or the stage that is needed, is not there.
        ValueError: If the run has no such row.
    """
    content = read_json(folder / "config.json")["config"]
    config = Config.from_dict(content)
    name = row_name or config.rows[0]
    rows = rows_of(config)
    if name not in rows:
        raise ValueError(f"row should be one of {', '.join(rows)}, got {name!r}")
    networks = tuple(load_network(folder, config, network, device) for network in rows[name].networks)
    probe, description = LinearProbe.load(find_head(folder, name, dataset))
    return QualityModel(
        rows[name],
        networks,
        probe,
        description["target"],
        description["dataset"],
        f"Preset {config.preset}: {config.remark}.",
        device,
        config.feature_autocast,
    )
