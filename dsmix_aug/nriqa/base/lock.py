"""A lock on a folder, so that no two processes write to it at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO
from weakref import WeakValueDictionary

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = ".lock"
#: Locked on Windows, where a locked byte cannot be read: far behind the process's number.
_LOCKED_BYTE = 2**30


class FolderLock:
    """A folder held by this process, until the object is gone or the process ends, however it ends.

    It is a record lock (``lockf``; on Windows ``msvcrt.locking``) on a file in the folder: the operating system takes
    it from a process that dies, so that none is left behind, and child processes, such as a DataLoader's workers that
    outlive a killed parent, do not hold it. The file names the process, for messages only. Get a lock by
    :func:`lock_folder`.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a+", encoding="ascii")
        if not _acquire(self._file):
            self._file.seek(0)
            holder = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise BlockingIOError(
                f"{folder} is in use by process {holder}: wait until that run ends, stop it, or give this run another "
                "name"
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()  # which gives the lock up


#: Closing any handle of a file gives up its process's lock, so that a process has one handle per folder.
_held: WeakValueDictionary[tuple[int, Path], FolderLock] = WeakValueDictionary()


def lock_folder(folder: Path) -> FolderLock:
    """Return the lock on a folder, which is made if it is missing; a process may ask again for one that it holds.

    Raises:
        BlockingIOError: If another process holds it; names the folder and the process.
    """
    key = (os.getpid(), folder.resolve())
    lock = _held.get(key)
    if lock is None:
        lock = _held[key] = FolderLock(folder)
    return lock


def _acquire(file: TextIO) -> bool:
    """Lock the file, and tell whether that was possible at once."""
    try:
        if sys.platform == "win32":
            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which of them depends on the system
        return False
    return True
