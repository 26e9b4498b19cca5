"""The file of a quality model. It may come from anybody, so it is checked before anything large is made."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsmix_aug.nriqa.base.files import read_header
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone, check_backbone
from dsmix_aug.nriqa.networks.features import group_widths
from dsmix_aug.nriqa.networks.hidden_layer import MOST_UNITS
from dsmix_aug.nriqa.networks.probe import Probe, array_shapes
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.networks.teacher import build_teacher, check_teacher, is_downloaded, teacher_of
from dsmix_aug.weights import OLDEST_FORMAT, check_tensors, fits, read_weights

KIND = "dsmix_aug.QualityModel"
#: Names of networks, with ``+`` between those whose weights were averaged, and how many of them there may be.
NETWORK_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(\+[a-z][a-z0-9_]{0,63}){0,7}")
MOST_NETWORKS = 8
ENTRIES: dict[str, type] = {
    "row": dict,
    "intercept": float,
    "backbone": str,
    "teacher": str,
    "target": str,
    "trained_on": str,
    "remark": str,
    "autocast": bool,
}
ROW_ENTRIES: dict[str, type] = {"title": str, "networks": list, "last_layer_only": bool}
LONGEST_TEXT = 1000


def read_quality_model(path: Path, allow_download: bool) -> dict[str, Any]:
    """Return what a quality model is made of by the names of its attributes; its networks are on the CPU, in eval mode.

    Args:
        path: The file.
        allow_download: Whether a teacher's weights may be downloaded.

    Raises:
        ValueError: If the file is damaged, does not fit, or needs a download that is not allowed.
    """
    header = read_header(path, KIND, OLDEST_FORMAT)
    with fits(path, "QualityModel"):
        row, description = _check_description(header.description)
        _check_networks(row, description["backbone"], description["teacher"])
    teachers = _build_teachers(path, row, description["teacher"], allow_download)
    with fits(path, "QualityModel"):
        hidden_units = description.pop("hidden_units")
        check_tensors(header, _expected_tensors(row, description["backbone"], teachers, hidden_units))
    tensors = read_weights(path, KIND)
    intercept = description.pop("intercept")
    with fits(path, "QualityModel"):
        arrays = _under("probe/", tensors)
        probe = Probe.of({name: tensor.double().numpy() for name, tensor in arrays.items()}, intercept)
        networks = tuple(
            teachers[name] if name in teachers else _restore(name, description["backbone"], tensors)
            for name in row.networks
        )
    return {**description, "row": row, "probe": probe, "networks": networks}


def _check_description(description: object) -> tuple[Row, dict[str, Any]]:
    """Compare the entries with :data:`ENTRIES`; return the row, and the others."""
    if not isinstance(description, dict):
        raise TypeError(f"its description should be entries by name, got {str(description)[:200]}")
    others = dict(description)
    score_range = others.pop("score_range", None)  # older files have neither
    hidden_units = _check_units(others.pop("hidden_units", 0))
    _check_entries(others, ENTRIES, "its description")
    entries = others.pop("row")
    _check_entries(entries, ROW_ENTRIES, "its row")
    row = Row(entries["title"], tuple(entries["networks"]), entries["last_layer_only"])
    return row, {**others, "score_range": _check_score_range(score_range), "hidden_units": hidden_units}


def _check_units(units: object) -> int:
    if type(units) is not int or not 0 <= units <= MOST_UNITS:
        raise ValueError(f"hidden_units should be 0 to {MOST_UNITS}, got {str(units)[:50]}")
    return units


def _check_score_range(score_range: object) -> tuple[float, float] | None:
    if score_range is None:
        return None
    is_pair = isinstance(score_range, list) and len(score_range) == 2 and all(type(x) is float for x in score_range)
    if not (is_pair and -math.inf < score_range[0] <= score_range[1] < math.inf):  # type: ignore[index]
        raise ValueError(f"score_range should be two finite numbers in order, got {str(score_range)[:100]}")
    return score_range[0], score_range[1]  # type: ignore[index]


def _check_entries(found: object, entries: dict[str, type], what: str) -> None:
    if not isinstance(found, dict) or set(found) != set(entries):
        raise ValueError(f"{what} should have the entries {', '.join(entries)}, got {str(found)[:200]}")
    for name, kind in entries.items():
        value = found[name]
        if type(value) is not kind:
            raise TypeError(f"{name} should be {kind.__name__}, got {type(value).__name__}")
        if isinstance(value, str) and (len(value) > LONGEST_TEXT or not value.isprintable()):
            raise ValueError(f"{name} should be one line of at most {LONGEST_TEXT} characters, got {value[:50]!r}")


def _check_networks(row: Row, backbone: str, teacher: str) -> None:
    """Refuse unknown networks, and names that no function here knows; nothing is built or downloaded."""
    if not 1 <= len(row.networks) <= MOST_NETWORKS:
        raise ValueError(f"networks should be 1 to {MOST_NETWORKS}, got {len(row.networks)}")
    for name in row.networks:
        if not isinstance(name, str) or not NETWORK_NAME.fullmatch(name):
            raise ValueError(f"networks should have names such as 'dsmix', got {str(name)[:50]!r}")
    if len(set(row.networks)) < len(row.networks):
        raise ValueError(f"networks should be different ones, got {row.networks}")
    check_backbone(backbone)
    check_teacher(teacher)
    if "teacher" in row.networks and teacher == "none":
        raise ValueError("a row with the teacher's features needs a teacher")


def _build_teachers(path: Path, row: Row, teacher: str, allow_download: bool) -> dict[str, Backbone]:
    """Return those of the row's networks that the file only names."""
    names = {network: teacher_of(network, teacher) for network in row.networks}
    teachers: dict[str, Backbone] = {}
    for network, name in names.items():
        if name is None:
            continue
        if is_downloaded(name) and not allow_download:
            raise ValueError(
                f"name_or_path: {path} needs the weights of {name!r}, which it does not hold and which would be "
                "downloaded; pass allow_download=True if you trust it"
            )
        built = build_teacher(name)
        assert built is not None  # "none" was refused before
        teachers[network] = built
    return teachers


def _expected_tensors(row: Row, backbone: str, teachers: dict[str, Backbone], hidden_units: int) -> dict[str, Tensor]:
    """Return all tensors that the file has to hold, on the meta device, where they take no memory."""
    expected: dict[str, Tensor] = {}
    widths: list[int] = []
    with torch.device("meta"):
        for name in row.networks:
            network = teachers[name] if name in teachers else build_backbone(backbone, "random")
            if name not in teachers:
                expected |= {f"{name}/{key}": tensor for key, tensor in network.state_dict().items()}
            widths += group_widths(network.channels[-1:] if row.last_layer_only else network.channels)
        shapes = array_shapes(sum(widths), hidden_units)
        return expected | {f"probe/{name}": torch.empty(shape) for name, shape in shapes.items()}


def _restore(name: str, backbone: str, tensors: dict[str, Tensor]) -> Backbone:
    state = _under(f"{name}/", tensors)
    for key, value in state.items():
        if key.endswith("running_var") and (value < 0).any():
            raise ValueError(f"{f'{name}/{key}'!r} is a variance and has values below 0")
    network = build_backbone(backbone, "random")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
