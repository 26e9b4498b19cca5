"""What the file of a quality model may hold. It may come from anybody: it is checked before anything large is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsmix_aug.nriqa.base.files import read_header
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone, check_backbone
from dsmix_aug.nriqa.networks.features import group_widths
from dsmix_aug.nriqa.networks.linear_probe import ARRAYS, LinearProbe
from dsmix_aug.nriqa.networks.teacher import build_teacher, check_teacher, is_downloaded
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, Row
from dsmix_aug.weights import OLDEST_FORMAT, check_tensors, fits, read_weights

KIND = "dsmix_aug.QualityModel"
NETWORKS = ("teacher", "random", *PRETRAININGS)
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
        row = _check_description(header.description)
        description = {key: value for key, value in header.description.items() if key not in ("row", "intercept")}
        _check_networks(row, description["backbone"], description["teacher"])
    teacher = _build_teacher(path, row, description["teacher"], allow_download)
    with fits(path, "QualityModel"):
        check_tensors(header, _expected_tensors(row, description["backbone"], teacher))
    tensors = read_weights(path, KIND)
    with fits(path, "QualityModel"):
        arrays = {name: tensors[f"probe/{name}"].double().numpy() for name in ARRAYS}
        probe = LinearProbe(**arrays, intercept=header.description["intercept"])
        networks = tuple(
            teacher if name == "teacher" else _restore(name, description["backbone"], tensors) for name in row.networks
        )
    return {**description, "row": row, "probe": probe, "networks": networks}


def _check_description(description: object) -> Row:
    """Compare the entries with :data:`ENTRIES`, and return the row."""
    _check_entries(description, ENTRIES, "its description")
    entries = description["row"]  # type: ignore[index]  # a dict, as was just checked
    _check_entries(entries, ROW_ENTRIES, "its row")
    return Row(entries["title"], tuple(entries["networks"]), entries["last_layer_only"])


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
    if not row.networks or not all(name in NETWORKS for name in row.networks):
        raise ValueError(f"networks should be some of {', '.join(NETWORKS)}, got {str(row.networks)[:200]}")
    if len(set(row.networks)) < len(row.networks):
        raise ValueError(f"networks should be different ones, got {str(row.networks)[:200]}")
    check_backbone(backbone)
    check_teacher(teacher)
    if "teacher" in row.networks and teacher == "none":
        raise ValueError("a row with the teacher's features needs a teacher")


def _build_teacher(path: Path, row: Row, name: str, allow_download: bool) -> Backbone | None:
    if "teacher" not in row.networks:
        return None
    if is_downloaded(name) and not allow_download:
        raise ValueError(
            f"name_or_path: {path} needs the weights of {name!r}, which it does not hold and which would be "
            "downloaded; pass allow_download=True if you trust it"
        )
    return build_teacher(name)


def _expected_tensors(row: Row, backbone: str, teacher: Backbone | None) -> dict[str, Tensor]:
    """Return all tensors that the file has to hold, on the meta device, where they take no memory."""
    expected: dict[str, Tensor] = {}
    widths: list[int] = []
    with torch.device("meta"):
        for name in row.networks:
            network = teacher if name == "teacher" and teacher is not None else build_backbone(backbone, "random")
            if name != "teacher":
                expected |= {f"{name}/{key}": tensor for key, tensor in network.state_dict().items()}
            widths += group_widths(network.channels[-1:] if row.last_layer_only else network.channels)
        return expected | {f"probe/{name}": torch.empty(sum(widths)) for name in ARRAYS}


def _restore(name: str, backbone: str, tensors: dict[str, Tensor]) -> Backbone:
    prefix = f"{name}/"
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    for key, value in state.items():
        if key.endswith("running_var") and (value < 0).any():
            raise ValueError(f"{prefix + key!r} is a variance and has values below 0")
    network = build_backbone(backbone, "random")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
