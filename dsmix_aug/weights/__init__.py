"""Weights in safetensors files: those that ship with the package, checked against their checksums, and any others."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import safetensors
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
#: Lines "SHA-256  file name", as ``sha256sum`` writes and checks them.
CHECKSUMS = "SHA256SUMS"


def find_weights(kind: str, name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of a safetensors file.

    Args:
        kind: What the file holds; weights that ship are called ``KIND-NAME.safetensors``.
        name_or_path: The name of weights that ship with the package, or a path.

    Raises:
        FileNotFoundError: If there is neither; names what there is.
        ValueError: If the path is no ``.safetensors`` file, or shipped weights are not what was shipped.
    """
    shipped = {file.stem.removeprefix(f"{kind}-"): file for file in sorted(FOLDER.glob(f"{kind}-*.safetensors"))}
    if str(name_or_path) in shipped:
        file = shipped[str(name_or_path)]
        _check(file)
        return file
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"name_or_path: there is no file {path}, and the weights that ship with the package are: "
            f"{', '.join(shipped) or 'none'}"
        )
    if path.suffix != ".safetensors":
        raise ValueError(
            f"name_or_path: {path} is no .safetensors file; other formats (.pt, .pth, .bin) are pickles, "
            "which can run code when loaded, and are not read"
        )
    return path


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors, half precision as float32, and the metadata of a safetensors file.

    Raises:
        ValueError: If the file is damaged or of another format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except safetensors.SafetensorError as error:
        raise ValueError(f"name_or_path: {path} is damaged or no safetensors file ({error})") from error
    # Copied to memory of their own: where a tensor lies in the file decides its alignment, and that the last bits.
    return {
        key: tensor.float() if tensor.dtype == torch.float16 else tensor.clone() for key, tensor in tensors.items()
    }, metadata


def _check(file: Path) -> None:
    lines = (FOLDER / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != expected.get(file.name):
        raise ValueError(
            f"name_or_path: {file} is damaged: its SHA-256 is {found}, expected {expected.get(file.name)}; install the "
            "package again"
        )
