"""Weights in safetensors files: those that ship with the package, checked against their checksums, and any others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from dsmix_aug._files import Header, load_tensors

FOLDER = Path(__file__).parent
#: Files without a format number are read: the first weights that shipped have none.
OLDEST_FORMAT = 0
#: The dtypes that weights are stored in, as safetensors calls them, and those of counters and masks.
FLOATS = ("F16", "BF16", "F32", "F64")
OTHERS = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
#: Lines "SHA-256  file name", as ``sha256sum`` writes and checks them.
CHECKSUMS = "SHA256SUMS"


def find_weights(kind: str, name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of a safetensors file.

    Args:
        kind: What the file holds; weights that ship are called ``KIND-NAME.safetensors``.
        name_or_path: The name of weights that ship with the package, or a path.

    Raises:
        FileNotFoundError: If there is neither; names what there is.
        ValueError: If the path is not a ``.safetensors`` file, or shipped weights were changed.
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
            f"name_or_path: {path} is not a .safetensors file; other formats (.pt, .pth, .bin) are pickles, "
            "which can run code when loaded, and are not read"
        )
    return path


def check_tensors(header: Header, expected: Mapping[str, Tensor]) -> None:
    """Compare names, dtypes and shapes that a file announces with those of tensors, which may be on the meta device.

    Floating dtypes may differ; all others have to be the same.

    Raises:
        ValueError: If a tensor is missing, is not known, or has another shape or dtype; names the first.
    """
    for name, (dtype, shape) in header.tensors.items():
        if name not in expected:
            raise ValueError(f"{name[:200]!r} is unknown")
        tensor = expected[name]
        if shape != tuple(tensor.shape):
            raise ValueError(f"{name!r} should have shape {tuple(tensor.shape)}, got {shape}")
        if dtype not in (FLOATS if tensor.is_floating_point() else (OTHERS.get(tensor.dtype),)):
            raise ValueError(f"{name!r} should be {tensor.dtype}, got {dtype}")
    missing = [name for name in expected if name not in header.tensors]
    if missing:
        raise ValueError(f"{missing[0]!r} is missing")


def read_weights(path: Path, kind: str) -> dict[str, Tensor]:
    """Return the tensors of a file, half precision as float32. Compare its header with what is expected first.

    Raises:
        ValueError: If the file is damaged, or a value is not finite.
    """
    _, tensors = load_tensors(path, kind, OLDEST_FORMAT)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"name_or_path: {path} cannot be used: {name!r} has values that are not finite")
    return {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}


@contextmanager
def fits(path: Path, what: str) -> Iterator[None]:
    """Turn an error of the block into one that says that the file does not fit."""
    try:
        yield
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"name_or_path: {path} does not fit a {what}: {error}") from error


def _check(file: Path) -> None:
    lines = (FOLDER / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != expected.get(file.name):
        raise ValueError(
            f"name_or_path: {file} is damaged: its SHA-256 is {found}, expected {expected.get(file.name)}; install the "
            "package again"
        )
