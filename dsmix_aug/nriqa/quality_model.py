"""A quality model: frozen networks and a probe, from photos to scores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dsmix_aug.nriqa.base.devices import check_device
from dsmix_aug.nriqa.base.files import read_json, save_tensors, with_remedy
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import extract_features
from dsmix_aug.nriqa.networks.linear_probe import ARRAYS, LinearProbe
from dsmix_aug.nriqa.quality_model_file import KIND, read_quality_model
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import Row, rows_of
from dsmix_aug.nriqa.runs.run import remedy
from dsmix_aug.nriqa.stages.pretrain import load_networks
from dsmix_aug.nriqa.stages.probe import find_head, row_features
from dsmix_aug.weights import find_weights


@dataclass(frozen=True)
class QualityModel:
    """Photos -> scores.

    Attributes:
        row: Whose features it uses.
        backbone: Name of the backbone that was pre-trained.
        teacher: Name of the teacher.
        networks: The row's networks, in eval mode on ``device``.
        probe: From features to scores.
        target: What the scores are, in words.
        trained_on: The dataset that the probe was fitted to.
        remark: What its scores are worth.
        device: Device of the networks.
        autocast: Whether they run under bfloat16 autocast.
    """

    row: Row
    backbone: str
    teacher: str
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

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write everything but the teacher, which is had by its name, to one safetensors file.

        Weights of layers are written in half precision; statistics, biases and the probe are not.

        Args:
            path: A path that ends in ``.safetensors``.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If ``path`` ends otherwise.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ValueError(f"path should end in .safetensors, got {path}")
        tensors = {f"probe/{name}": torch.from_numpy(getattr(self.probe, name)).float() for name in ARRAYS}
        for name, network in zip(self.row.networks, self.networks, strict=True):
            if name != "teacher":
                tensors |= {f"{name}/{key}": _compact(tensor) for key, tensor in network.state_dict().items()}
        description = {
            "row": asdict(self.row),
            "intercept": float(self.probe.intercept),
            **{
                key: getattr(self, key) for key in ("backbone", "teacher", "target", "trained_on", "remark", "autocast")
            },
        }
        save_tensors(path, KIND, description, tensors)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | os.PathLike[str], device: str = "cpu", *, allow_download: bool = False
    ) -> QualityModel:
        """Read a model that :meth:`save_pretrained` wrote, or one that ships with the package.

        The file may come from anybody. Only safetensors files are read, as a pickle can run code when it is loaded,
        and entries, names and shapes are checked before anything is allocated.

        Args:
            name_or_path: The name of weights that ship with the package, or the path of a ``.safetensors`` file.
            device: Where to put the networks.
            allow_download: Whether the weights of a teacher from torchvision or timm, which the file only names, may be
                downloaded.

        Raises:
            FileNotFoundError: If there is no such file, or no weights of that name; names what there is.
            ValueError: If the file is a pickle, is damaged (files and shipped weights have checksums), was written by a
                newer version, holds something else or a value that is not finite, or needs a download that is not
                allowed; if the device is not there.

        Example:
            >>> from dsmix_aug.nriqa.quality_model import QualityModel
            >>> model = QualityModel.from_pretrained("small")
            >>> model.row.networks
            ('teacher', 'dsmix')
        """
        check_device(device)
        parts = read_quality_model(find_weights("quality_model", name_or_path), allow_download)
        networks = tuple(network.to(device) for network in parts.pop("networks"))
        return cls(**parts, networks=networks, device=device)


def load_from_run(folder: Path, row_name: str | None, dataset: str | None, device: str) -> QualityModel:
    """Return the quality model of a finished run.

    Args:
        folder: The run's folder.
        row_name: The row; by default the run's first.
        dataset: The dataset whose scores to predict; by default the first by name.
        device: Where to put the networks.

    Raises:
        FileNotFoundError: If the run, or the stage that is needed, is not there.
        ValueError: If the run has no such row, a file of it is damaged, or the device is not there.
    """
    check_device(device)
    content = read_json(folder / "config.json")["config"]
    config = Config.from_dict(content)
    name = row_name or config.rows[0]
    rows = rows_of(config)
    if name not in rows:
        raise ValueError(f"row should be one of {', '.join(rows)}, got {name!r}")
    networks = load_networks(folder, config, rows[name], device)
    with with_remedy(remedy(folder, "probe")):
        probe, description = LinearProbe.load(find_head(folder, name, dataset))
    return QualityModel(
        row=rows[name],
        backbone=config.backbone,
        teacher=config.teacher,
        networks=networks,
        probe=probe,
        target=description["target"],
        trained_on=description["dataset"],
        remark=f"Preset {config.preset}: {config.remark}.",
        device=device,
        autocast=config.feature_autocast,
    )


def _compact(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else tensor.dtype).contiguous()
