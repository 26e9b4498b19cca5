"""Files that are written completely or not at all, and files of tensors in which any damage is noticed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

#: How temporary files begin. Those of a process that was killed may be deleted.
TEMPORARY_PREFIX = ".tmp."
#: Format of the files that :func:`save_tensors` writes. Files from before formats were numbered count as 0.
FORMAT = 1
#: The header names each tensor with about 100 bytes: enough for tens of thousands.
MAX_HEADER_BYTES = 4 * 2**20
_ENTRIES = {"format", "sha256", "description"}


@contextmanager
def replace_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``, and rename it to ``path`` when the block ends without an error.

    Folders that are missing are made. The temporary name is unique, so that two processes may write one file at once:
    the last to end wins. It is short, however long the name of ``path`` is, and has its suffix.

    Raises:
        OSError: If the file cannot be written, such as on a full disk; names the file. What was there before stays.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}.{secrets.token_hex(4)}{path.suffix[:16]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        reason = f"{path} could not be written: {error.strerror or error}"
        raise OSError(error.errno or errno.EIO, reason) from error
    finally:
        with suppress(OSError):  # the first error matters
            temporary.unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Delete the temporary files that processes left in a folder when they were ended, at any depth."""
    for temporary in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        temporary.unlink(missing_ok=True)


class Header(NamedTuple):
    """The header of a file of tensors, read without the tensors.

    ``description``: what :func:`save_tensors` was given; ``format``: the number of its format; ``checksum``: empty in
    files without a format; ``tensors``: dtype, as safetensors calls it, and shape of each tensor.
    """

    description: Any
    format: int
    checksum: str
    tensors: dict[str, tuple[str, tuple[int, ...]]]


def save_tensors(path: Path, kind: str, description: object, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file in one piece, with a format number and a checksum of all that it holds.

    Args:
        path: The file.
        kind: What the file holds; it can be read as nothing else.
        description: Anything that JSON can express.
        tensors: The tensors, on any device and in any memory format.

    Raises:
        OSError: If the file cannot be written.
    """
    stored = {  # copied, as tied weights share memory, which safetensors refuses
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    content = {"format": FORMAT, "sha256": _checksum(kind, description, stored), "description": description}
    metadata = {kind: json.dumps(content)}  # one entry: several would come in an order that changes from run to run
    with replace_when_done(path) as temporary:
        try:
            safetensors.torch.save_file(stored, temporary, metadata=metadata)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error


def read_header(path: Path, kind: str, oldest_format: int = FORMAT) -> Header:
    """Return what a file of tensors says about itself. Nothing large is allocated, whatever the file says.

    Args:
        path: The file.
        kind: What it should hold.
        oldest_format: 0 if files without a format number and a checksum are accepted.

    Raises:
        ValueError: If it is damaged, not a safetensors file, of another kind or of a format that is not read.
    """
    _check_header_length(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            tensors = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error})") from error
    if kind not in metadata:
        raise ValueError(f"{path} holds no {kind.rpartition('.')[2]} (its metadata has no {kind!r})")
    if len(metadata) > 1:
        raise ValueError(f"{path} is damaged: the keys of its metadata are {', '.join(sorted(metadata))[:500]}")
    try:
        content = json.loads(metadata[kind])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its metadata is not JSON ({error})") from error
    if not isinstance(content, dict) or "format" not in content:
        content = {"format": 0, "sha256": "", "description": content}
    _check_format(path, content, oldest_format)
    return Header(content["description"], content["format"], content["sha256"], tensors)


def load_tensors(path: Path, kind: str, oldest_format: int = FORMAT) -> tuple[Any, dict[str, Tensor]]:
    """Return description and tensors, on the CPU, of a file that :func:`save_tensors` wrote.

    Check :func:`read_header` first where the file may come from anybody: the tensors can be as large as the file.

    Raises:
        ValueError: As in :func:`read_header`, and if what the file holds does not match its checksum.
    """
    header = read_header(path, kind, oldest_format)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            # Copied: a tensor's offset in the file sets its alignment, which changes the last bits of results; and
            # the file may be replaced later.
            tensors = {name: file.get_tensor(name).clone() for name in header.tensors}
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error})") from error
    if header.format and header.checksum != _checksum(kind, header.description, tensors):
        raise ValueError(f"{path} is damaged: what it holds does not match its checksum")
    return header.description, tensors


def _check_header_length(path: Path) -> None:
    """Refuse a header that is long, before anything parses it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
        limit = f"it has {size} bytes and its header should have {length}, at most {MAX_HEADER_BYTES}"
        raise ValueError(f"{path} is damaged or not a safetensors file ({limit})")


def _check_format(path: Path, content: Mapping[str, Any], oldest_format: int) -> None:
    found = content["format"]
    if type(found) is not int or found < 0:
        raise ValueError(f"{path} is damaged: its format should be a number, got {str(found)[:50]!r}")
    if found > FORMAT:
        raise ValueError(f"{path} has format {found}, and this version of dsmix_aug reads up to {FORMAT}: update it")
    if found < oldest_format:
        raise ValueError(f"{path} has format {found}, of an older version of dsmix_aug, which is not read any more")
    if set(content) != _ENTRIES:
        raise ValueError(f"{path} is damaged: its metadata has the entries {', '.join(sorted(content))[:500]}")


def _checksum(kind: str, description: object, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of what a file holds, names, dtypes and shapes included, in hex."""
    digest = hashlib.sha256(json.dumps([kind, FORMAT, description]).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
