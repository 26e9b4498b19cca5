"""The work of ``dsmix-aug info``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import textwrap

import torch

from dsmix_aug._version import __version__
from dsmix_aug.distortions._distortion import REGISTRY
from dsmix_aug.weights import FOLDER, find_weights

EXTRAS = ("score", "pipeline", "report")


def print_info() -> int:
    """Print versions, devices, types and weights; return 1 if weights are damaged, else 0."""
    print(f"dsmix-aug {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for title, names in _requirements().items():
        found = ", ".join(f"{name} {_version(name)}" for name in names)
        print(textwrap.fill(f"{title}: {found}", 100, subsequent_indent="  ", break_on_hyphens=False))
    print(f"devices: {', '.join(_devices())}")
    print(textwrap.fill(f"{len(REGISTRY)} distortion types: {', '.join(REGISTRY)}", 100, subsequent_indent="  "))
    return _print_weights()


def _requirements() -> dict[str, list[str]]:
    """Return the distributions that the library needs, and those of each extra for users."""
    needed: dict[str, list[str]] = {"": [], **{extra: [] for extra in EXTRAS}}
    for requirement in importlib.metadata.requires("dsmix-aug") or ():
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == ['\"](\w+)", requirement)
        key = extra[1] if extra else ""
        if name is not None and name[0] != "dsmix-aug" and key in needed:
            needed[key].append(name[0])
    return {f"dsmix-aug[{extra}]" if extra else "library": names for extra, names in needed.items() if names}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _devices() -> list[str]:
    devices = [f"cpu ({os.cpu_count()} cores, {torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return devices + (["mps"] if torch.backends.mps.is_available() else [])


def _print_weights() -> int:
    damaged = 0
    for file in sorted(FOLDER.glob("*.safetensors")):
        kind, _, name = file.stem.partition("-")
        try:
            find_weights(kind, name)
            state = "checksum ok"
        except ValueError as error:
            state, damaged = str(error), 1
        print(f"weights: {kind} {name!r}, {file.stat().st_size / 1e6:.1f} MB, {state}")
    return damaged
