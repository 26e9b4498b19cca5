"""Files that are written completely or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsmix_aug._files import (
    TEMPORARY_PREFIX,
    load_tensors,
    read_header,
    remove_half_written,
    replace_when_done,
    save_tensors,
)

__all__ = [
    "TEMPORARY_PREFIX",
    "file_hash",
    "fingerprint",
    "load_tensors",
    "read_header",
    "read_json",
    "remove_half_written",
    "replace_when_done",
    "save_tensors",
    "with_remedy",
    "write_json",
    "write_text",
]


@contextmanager
def with_remedy(remedy: str) -> Iterator[None]:
    """Add to a ``ValueError`` of the block what the user can do about it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece."""
    with replace_when_done(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one piece."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: If it is not JSON; names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a JSON file ({error})") from error


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(*parts: object) -> str:
    """Return a short hash of any printable parts."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
