"""A quality model: frozen networks and a probe, from photos to scores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone
from dsmix_aug.nriqa.networks.features import extract_features
from dsmix_aug.nriqa.networks.linear_probe import ARRAYS, LinearProbe
from dsmix_aug.nriqa.networks.row import Row, join_features
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.weights import find_weights, read_weights

_METADATA_KEY = "dsmix_aug.QualityModel"


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
        features = [
            extract_features(network, photos, self.device, self.autocast, f"features: {name}")
            for network, name in zip(self.networks, self.row.networks, strict=True)
        ]
        joined, _ = join_features(self.row, self.networks, features)
        return self.probe.predict(joined)

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write everything but the teacher, which is had by its name, to one safetensors file.

        Weights of layers are written in half precision; statistics, biases and the probe are not.

        Args:
            path: A path that ends in ``.safetensors``.

        Raises:
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
            "intercept": self.probe.intercept,
            **{
                key: getattr(self, key) for key in ("backbone", "teacher", "target", "trained_on", "remark", "autocast")
            },
        }
        with replace_when_done(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, {_METADATA_KEY: json.dumps(description)})

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], device: str = "cpu") -> QualityModel:
        """Read a model that :meth:`save_pretrained` wrote, or one that ships with the package.

        Only safetensors files are read: a pickle can run code when it is loaded.

        Args:
            name_or_path: The name of weights that ship with the package, or the path of a ``.safetensors`` file.
            device: Where to put the networks.

        Raises:
            FileNotFoundError: If there is no such file, or no weights of that name; names what there is.
            ValueError: If the file is a pickle, is damaged (shipped weights are compared with their checksum) or holds
                something else.

        Example:
            >>> from dsmix_aug.nriqa.quality_model import QualityModel
            >>> model = QualityModel.from_pretrained("small")
            >>> model.row.networks
            ('teacher', 'dsmix')
        """
        path = find_weights("quality_model", name_or_path)
        tensors, metadata = read_weights(path)
        if _METADATA_KEY not in metadata:
            raise ValueError(f"name_or_path: {path} holds no QualityModel (its metadata has no {_METADATA_KEY!r})")
        try:
            description: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
            entries = description.pop("row")
            row = Row(**{**entries, "networks": tuple(entries["networks"])})
            arrays = {name: tensors[f"probe/{name}"].double().numpy() for name in ARRAYS}
            probe = LinearProbe(**arrays, intercept=description.pop("intercept"))
            networks = tuple(
                _restore(name, description["backbone"], description["teacher"], tensors).to(device)
                for name in row.networks
            )
            return cls(row=row, networks=networks, probe=probe, device=device, **description)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"name_or_path: {path} does not fit a QualityModel: {error}") from error


def _compact(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else tensor.dtype).contiguous()


def _restore(name: str, backbone: str, teacher: str, tensors: dict[str, Tensor]) -> Backbone:
    if name == "teacher":
        network = build_teacher(teacher)
        if network is None:
            raise ValueError("a row with the teacher's features needs a teacher")
        return network
    network = build_backbone(backbone, "random")
    prefix = f"{name}/"
    network.load_state_dict(
        {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    )
    return network.eval().requires_grad_(False)
