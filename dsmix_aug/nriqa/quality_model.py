"""A quality model: frozen networks and a probe, from photos to scores."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dsmix_aug._checks import check_integer, check_network_input
from dsmix_aug.nriqa.base.devices import bfloat16_autocast, check_device
from dsmix_aug.nriqa.base.files import save_tensors
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import pool_features, pool_photo
from dsmix_aug.nriqa.networks.probe import Probe, ProbeLayer
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.networks.teacher import teacher_of
from dsmix_aug.nriqa.quality_model_file import KIND, ROW_ENTRIES, read_quality_model
from dsmix_aug.photos.ahead import THREADS, read_ahead
from dsmix_aug.photos.reader import read_photo, read_shrunk
from dsmix_aug.weights import find_weights

#: Photos are scored at this shorter side in px: the size of the photos whose scores the shipped model was fitted to.
WORKING_SIDE = 512
#: The entries of a file other than the row and the probe.
DESCRIPTION = ("backbone", "teacher", "target", "trained_on", "remark", "score_range", "autocast")


class QualityModel(nn.Module):
    """Predict how good photos look, without a reference: frozen networks and a probe.

    Called with images of shape (B, 3, H, W), float in [0, 1], on the model's device, of any size, it returns their
    scores (B,), float32 (float64 after ``model.double()``), higher is better. Up to rounding, a score does not depend
    on the other images of the batch. Gradients flow to the images, through the probe's clipping too: a feature that was
    clipped passes none. The networks are frozen and stay in eval mode.

    Under autocast (see below) a score differs from float32's by some thousandths of the scores' range; set
    ``model.autocast = False`` to compute in float32, as for exact gradients or an export. Images with a side of less
    than 64 px are always computed in float32. A surrounding autocast of the caller's changes nothing.

    Batch norms are folded into convolutions for speed, in a copy of the networks that is made when it is first needed,
    and anew after ``model.to(...)`` and ``load_state_dict``. While a parameter of the networks requires a gradient they
    run as they are.

    Args:
        row: Whose features it uses.
        backbone: Name of the backbone that was pre-trained.
        teacher: Name of the teacher.
        networks: The row's networks.
        probe: From features to scores.
        target: What the scores are, in words, such as ``"MOS"``.
        trained_on: The dataset that the probe was fitted to.
        remark: How far its scores can be trusted.
        score_range: Lowest and highest score of the photos that it was fitted to; a prediction may lie outside.
            ``None``: not known.
        autocast: Whether the networks run under bfloat16 autocast, on devices that are faster with it. Scores of such
            devices and of others then differ by what bfloat16 rounds, some thousandths.

    Raises:
        TypeError: On a call, if ``images`` is not a floating point tensor.
        ValueError: On a call, if ``images`` has another shape, lies on another device or has, on the CPU, values
            outside [0, 1] or NaN.

    Example:
        >>> import torch
        >>> from dsmix_aug import QualityModel
        >>> model = QualityModel.from_pretrained("small")
        >>> model(torch.rand(2, 3, 96, 128)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        *,
        row: Row,
        backbone: str,
        teacher: str,
        networks: Sequence[Backbone],
        probe: Probe,
        target: str,
        trained_on: str,
        remark: str,
        score_range: Sequence[float] | None = None,
        autocast: bool = False,
    ) -> None:
        super().__init__()
        self.row, self.backbone, self.teacher = row, backbone, teacher
        self.target, self.trained_on, self.remark = target, trained_on, remark
        self.score_range = None if score_range is None else (score_range[0], score_range[1])
        self.autocast = autocast
        self.networks = nn.ModuleList(networks)
        self.probe = ProbeLayer(probe)
        self._folded: list[Backbone] = []
        self.requires_grad_(False).eval()

    def __repr__(self) -> str:
        size = sum(parameter.numel() for parameter in self.parameters()) / 1e6
        known = "" if self.score_range is None else " from {:.3g} to {:.3g}".format(*self.score_range)
        scores = f"{self.target} of {self.trained_on}{known}, higher is better"
        return f"QualityModel({self.row.title}, {size:.1f} M parameters, {scores}, on {self.device})"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.probe.intercept.device

    def train(self, mode: bool = True) -> QualityModel:
        """Do nothing: the networks stay in eval mode, also within a model that is trained."""
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> QualityModel:
        self._folded = []  # behind .to(), .double() and the like
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._folded = []
        super()._load_from_state_dict(*args, **kwargs)

    def _networks_for_inference(self) -> Sequence[Any]:
        if torch.compiler.is_compiling():
            return list(self.networks)
        if any(parameter.requires_grad for parameter in self.networks.parameters()):
            self._folded = []
            return list(self.networks)
        if not self._folded:
            with torch.no_grad():
                self._folded = [cast(Backbone, network).folded() for network in self.networks]
        return self._folded

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of images; see the class for shapes and errors."""
        check_network_input(images, self.device)
        images = images.to(self.probe.intercept.dtype)
        return self._score(pool_features, images)

    def _score(self, pool: Callable[..., Tensor], images: Tensor) -> Tensor:
        with bfloat16_autocast(images.device, self.autocast):
            pooled = [pool(network, images, self.row.last_layer_only) for network in self._networks_for_inference()]
        with torch.autocast(images.device.type, enabled=False):  # a score needs more than the 8 bits of bfloat16
            return self.probe(torch.cat(pooled, dim=1).to(self.probe.intercept.dtype))

    def score(self, photos: Sequence[str | os.PathLike[str]], working_side: int | None = WORKING_SIDE) -> np.ndarray:
        """Return the scores of image files, (N,) float64, higher is better: those of a call on their pixels.

        Photos are read while others are scored, and each is scored by itself.

        Args:
            photos: Paths of the files, of any sizes.
            working_side: Photos whose shorter side is larger are shrunk to this one, in px; others are scored as they
                are. ``None``: all are scored at their own size, in tiles where they are large, which changes scores a
                little and takes a time that grows with their pixels.

        Raises:
            TypeError: If ``photos`` is not a sequence of paths, or ``working_side`` not an integer.
            ValueError: If ``working_side`` is less than 1.
            OSError: If a file is missing, or cannot be read or scored. :meth:`score_each` goes on to the next one.
        """
        scores = []
        for score in self.score_each(photos, working_side):
            if isinstance(score, OSError):
                raise score
            scores.append(score)
        return np.array(scores, dtype=np.float64)

    def score_each(
        self, photos: Sequence[str | os.PathLike[str]], working_side: int | None = WORKING_SIDE
    ) -> Iterator[float | OSError]:
        """Yield the score of each image file in turn, or the error that says why it has none.

        Args:
            photos: As for :meth:`score`.
            working_side: As for :meth:`score`.

        Raises:
            TypeError: If ``photos`` is not a sequence of paths, or ``working_side`` not an integer.
            ValueError: If ``working_side`` is less than 1.
        """
        paths = _check_paths(photos)
        if working_side is None:  # a photo may be large: one is scored while the next one is read
            return self._score_read(paths, read_ahead(paths, read_photo, threads=1))
        read = partial(read_shrunk, side=check_integer("working_side", working_side))
        return self._score_read(paths, read_ahead(paths, read, THREADS))

    @torch.no_grad()
    def _score_read(self, paths: Sequence[Path], photos: Iterator[Tensor | OSError]) -> Iterator[float | OSError]:
        for path, photo in zip(paths, photos, strict=True):
            if isinstance(photo, OSError):
                yield photo
                continue
            try:
                score = self._score(pool_photo, photo.to(self.device)).item()
            except (MemoryError, RuntimeError) as error:  # whatever the photo needs too much of, others may not
                yield OSError(f"{path} cannot be scored: {str(error) or type(error).__name__}")
                continue
            yield score if math.isfinite(score) else OSError(f"{path} cannot be scored: its score is {score}")

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write everything except teachers, which are only named, to one safetensors file.

        Weights of layers, the probe's hidden one among them, are written in half precision; statistics, biases and the
        rest of the probe are not.

        Args:
            path: A path that ends in ``.safetensors``.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If ``path`` ends otherwise.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ValueError(f"path should end in .safetensors, got {path}")
        tensors = {f"probe/{name}": _compact(getattr(self.probe, name).float()) for name in self.probe.names}
        for name, network in zip(self.row.networks, self.networks, strict=True):
            if teacher_of(name, self.teacher) is None:
                tensors |= {f"{name}/{key}": _compact(tensor) for key, tensor in network.state_dict().items()}
        description = {
            "row": {name: getattr(self.row, name) for name in ROW_ENTRIES},
            "intercept": self.probe.intercept.item(),
            "hidden_units": 0 if self.probe.is_linear else len(self.probe.hidden_biases),
            **{key: getattr(self, key) for key in DESCRIPTION},
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
            >>> from dsmix_aug import QualityModel
            >>> model = QualityModel.from_pretrained("small")
            >>> model.row.networks
            ('efficientnet_lite1', 'dsmix_annoyance+no_mixing_opinions')
        """
        check_device(device)
        return cls(**read_quality_model(find_weights("quality_model", name_or_path), allow_download)).to(device)


def _check_paths(photos: object) -> list[Path]:
    if not isinstance(photos, Sequence) or isinstance(photos, (str, bytes)):
        raise TypeError(
            f"photos should be a sequence of paths, got {type(photos).__name__}; call the model itself to score pixels"
        )
    other = [photo for photo in photos if not isinstance(photo, (str, os.PathLike))]
    if other:
        raise TypeError(
            f"photos should hold paths, got {type(other[0]).__name__}; call the model itself to score pixels"
        )
    return [Path(photo) for photo in photos]


def _compact(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else tensor.dtype).contiguous()
