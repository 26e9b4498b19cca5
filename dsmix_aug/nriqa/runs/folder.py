"""A run's folder as it is read: the names of its parts and files, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from safetensors import SafetensorError

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.csv_files import parse_bool, read_csv
from dsmix_aug.nriqa.base.devices import check_device
from dsmix_aug.nriqa.base.files import read_json
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.networks.row import Row, averaged_names
from dsmix_aug.nriqa.quality_model import QualityModel
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.names import DSM, EVALUATE, PRETRAIN, PROBE, describe
from dsmix_aug.nriqa.runs.networks import average_networks, build_network
from dsmix_aug.nriqa.runs.predictions import Predictions
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, rows_of

#: Of ``config.json``. It is raised when an older run can no longer be read or gone on with.
FORMAT = 3
#: Columns of ``dsm/correlation.csv`` and ``results.csv``, and their types.
CORRELATION_COLUMNS: Mapping[str, Callable[[str], Any]] = {
    "photo": str,
    "distortion": str,
    "level": int,
    "correlation": float,
    "varies": parse_bool,
    "true_mean": float,
    "predicted_mean": float,
}
RESULT_COLUMNS = {
    "row": str,
    "trained_on": str,
    "tested_on": str,
    "title": str,
    "target": str,
    "srcc": float,
    "plcc": float,
    "plcc_linear": float,
    "krcc": float,
    "rmse": float,
    "srcc_min": float,
    "srcc_max": float,
    "splits": int,
    "images": int,
}

#: One entry per step: its number, its learning rate and each of its losses.
History = list[dict[str, float]]
T = TypeVar("T")


class RunFolder:
    """A run's folder, finished or not. Nothing is read before it is asked for, and nothing is written.

    What a stage has not written yet is a ``FileNotFoundError`` that names the stage; what is damaged is a
    ``ValueError`` that names the file and what to do.

    Args:
        folder: The run's folder.

    Example:
        >>> from pathlib import Path
        >>> from dsmix_aug.nriqa.runs.folder import RunFolder
        >>> RunFolder(Path("nothing")).config
        Traceback (most recent call last):
            ...
        FileNotFoundError: there is no run in nothing (it has no config.json)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def config(self) -> Config:
        """The config of the run."""
        return read_config(self.config_path)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hashes of the data that the run has used so far, by name."""
        return dict(read_json(self.config_path)["data"])

    @cached_property
    def rows(self) -> dict[str, Row]:
        """The run's rows by name."""
        return rows_of(self.config)

    @property
    def remark(self) -> str:
        """A sentence that says what the run's numbers are worth."""
        return describe(self.config.preset)

    def is_finished(self, part: str) -> bool:
        """Tell whether a part, such as ``"pretrain/dsmix"``, was finished."""
        return self.marker_path(part).is_file()

    def seconds(self) -> dict[str, float]:
        """Return how long each finished part took; a part that was interrupted counts from its last start."""
        markers = sorted((self.folder / "finished").glob("*.json"), key=lambda path: path.stat().st_mtime)
        parts = {marker.stem.replace("-", "/"): marker for marker in markers}
        return {
            part: self._read(part, marker, lambda path: float(read_json(path)["seconds"]))
            for part, marker in parts.items()
        }

    def estimator(self, device: str = "cpu") -> DSMEstimator:
        """Return the DSM estimator that was trained."""
        check_device(device)
        return self._read(DSM, self.estimator_path, DSMEstimator.from_pretrained).to(device)

    def networks(self, row: str, device: str = "cpu") -> tuple[Backbone, ...]:
        """Return the networks that a row takes features from, frozen and in eval mode, on ``device``."""
        chosen = self._row(row)
        share = self.config.trained_share if chosen.set_back else 1.0
        return tuple(self._network(name, share).to(device) for name in chosen.networks)

    def probe(self, row: str, dataset: str | None = None) -> tuple[Probe, dict[str, Any]]:
        """Return a row's probe, trained on all of a dataset, and its description: row, dataset, target, score_range.

        Args:
            row: Name of the row.
            dataset: Name of the dataset; by default the first by name.
        """
        self._row(row)
        if not self.is_finished(PROBE):
            raise FileNotFoundError(f"{self.folder} has no probes: run the stage 'probe' first")
        probes = {path.stem: path for path in sorted((self.folder / PROBE).glob("*.safetensors"))}
        wanted = [name for name in probes if name.startswith(f"{row}-")]
        if dataset is not None:
            wanted = [name for name in wanted if probes[name] == self.probe_path(row, dataset)]
        if not wanted:
            raise FileNotFoundError(
                f"{self.folder} has no probe of row {row!r} and dataset {dataset or 'any'!r}; it has: "
                f"{', '.join(probes) or 'none'}"
            )
        return self._read(PROBE, probes[wanted[0]], Probe.load)

    def quality_model(self, row: str | None = None, dataset: str | None = None, device: str = "cpu") -> QualityModel:
        """Return the quality model of a row.

        Args:
            row: Name of the row; by default the run's first.
            dataset: The dataset whose scores to predict; by default the first by name.
            device: Where to put the networks.
        """
        name = row or next(iter(self.rows))
        check_device(device)
        probe, description = self.probe(name, dataset)
        return QualityModel(
            row=self.rows[name],
            backbone=self.config.backbone,
            teacher=self.config.teacher,
            networks=self.networks(name),
            probe=probe,
            target=description["target"],
            trained_on=description["dataset"],
            remark=self.remark,
            score_range=tuple(description["score_range"]),
            autocast=self.config.feature_autocast,
        ).to(device)

    def log(self, part: str) -> History:
        """Return the losses of each step of a part that trains."""
        return self._read(part, self.log_path(part), read_log)

    @property
    def correlation(self) -> pd.DataFrame:
        """The check of the DSM estimator: one line for each held-out photo and class of the bank."""
        return self._read(DSM, self.correlation_path, lambda path: pd.DataFrame(read_csv(path, CORRELATION_COLUMNS)))

    @property
    def predictions(self) -> Predictions:
        """The predictions of the probes."""
        return self._read(PROBE, self.predictions_path, Predictions.read)

    @property
    def targets(self) -> dict[str, str]:
        """A description of the scores of each dataset."""
        probes = sorted((self.folder / PROBE).glob(f"{next(iter(self.rows))}-*.safetensors"))
        descriptions = [self._read(PROBE, path, Probe.load)[1] for path in probes]
        targets = {description["dataset"]: description["target"] for description in descriptions}
        targets.pop(self.config.joint_name, None)  # a probe of several datasets has no scores of its own
        return targets

    @property
    def results(self) -> pd.DataFrame:
        """The results: one line for each row and pair of datasets."""
        return self._read(EVALUATE, self.results_path, lambda path: pd.DataFrame(read_csv(path, RESULT_COLUMNS)))

    @property
    def config_path(self) -> Path:
        """Config, format and fingerprints of the data."""
        return self.folder / "config.json"

    @property
    def sessions_path(self) -> Path:
        """Versions and hardware of each start."""
        return self.folder / "sessions.json"

    @property
    def estimator_path(self) -> Path:
        """The DSM estimator."""
        return self.folder / DSM / "estimator.safetensors"

    @property
    def correlation_path(self) -> Path:
        """The check of the DSM estimator."""
        return self.folder / DSM / "correlation.csv"

    @property
    def predictions_path(self) -> Path:
        """The predictions."""
        return self.folder / PROBE / "predictions.csv"

    @property
    def results_path(self) -> Path:
        """The results."""
        return self.folder / "results.csv"

    @property
    def report_path(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    @property
    def held_out_path(self) -> Path:
        """The folder of the stand-in for scored images."""
        return self.folder / "held_out"

    def marker_path(self, part: str) -> Path:
        """Return the file that says that a part is finished."""
        return self.folder / "finished" / f"{part.replace('/', '-')}.json"

    def log_path(self, part: str) -> Path:
        """Return the log of a part that trains."""
        return self.folder / part / "log.jsonl"

    def checkpoint_path(self, part: str) -> Path:
        """Return the checkpoint of a part that trains, which is there until the part is finished."""
        return self.folder / part / "checkpoint.safetensors"

    def backbone_path(self, pretraining: str) -> Path:
        """Return the backbone that a pre-training wrote."""
        return self.folder / PRETRAIN / pretraining / "backbone.safetensors"

    def probe_path(self, row: str, dataset: str) -> Path:
        """Return the probe of a row, trained on all of a dataset."""
        return self.folder / PROBE / f"{row}-{dataset.replace(' ', '_')}.safetensors"

    def _row(self, name: str) -> Row:
        if name not in self.rows:
            raise ValueError(f"row should be one of {', '.join(self.rows)}, got {name!r}")
        return self.rows[name]

    def _network(self, name: str, share: float) -> Backbone:
        averaged = averaged_names(name)
        if len(averaged) > 1:
            return average_networks([self._network(one, share) for one in averaged])
        if name not in PRETRAININGS:
            return build_network(self.config, name, self.backbone_path(name), share)
        return self._read(
            f"{PRETRAIN}/{name}",
            self.backbone_path(name),
            lambda path: build_network(self.config, name, path, share),
        )

    def _read(self, part: str, path: Path, read: Callable[[Path], T]) -> T:
        """Return what ``read`` makes of a file of a finished part."""
        marker = self.marker_path(part)
        if not marker.is_file():
            stage, _, name = part.partition("/")
            what = f"no pre-trained {name!r}" if name else f"no {path.name}"
            raise FileNotFoundError(f"{self.folder} has {what}: run the stage {stage!r} first")
        try:
            return read(path)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{path} is missing or damaged ({error}); to make it again, delete {marker} and start the run again"
            ) from error


def read_config(path: Path) -> Config:
    """Return the config in a run's ``config.json``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If another version wrote it, or it is damaged; says what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no run in {path.parent} (it has no {path.name})")
    content = read_json(path)
    found = content.get("format", 1) if isinstance(content, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{path} has format {found}, this version of dsmix_aug reads {FORMAT}: finish or read that run with the "
            "version that wrote it (see sessions.json), or start a new one under another name"
        )
    try:
        return Config.from_dict(content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not fit this version of dsmix_aug: {error}") from error


def read_log(path: Path) -> History:
    """Return the losses of each step from a ``log.jsonl``.

    Raises:
        ValueError: If a line is damaged, or there is none.
    """
    history = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not history:
        raise ValueError("the file is empty")
    return history
