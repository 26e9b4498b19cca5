"""Reading photos ahead of whoever works on them, in threads: decoders leave Python to others while they decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from torch import Tensor

#: How many photos are decoded at once.
THREADS = 2


def read_ahead(
    paths: Sequence[Path], read: Callable[[Path], Tensor], threads: int = THREADS
) -> Iterator[Tensor | OSError]:
    """Yield photos in their order, or the error that says why one cannot be read.

    Besides the photo that was yielded there are at most as many others in memory as there are threads.

    Args:
        paths: The files.
        read: What reads one.
        threads: How many are read at once.
    """
    if not paths:
        return
    # Not concurrent.futures: after Ctrl-C, Python would wait for its threads.
    with ThreadPool(min(threads, len(paths))) as pool:
        coming = deque(pool.apply_async(_read, (read, path)) for path in paths[:threads])
        for path in [*paths[threads:], *[None] * len(coming)]:
            photo = coming.popleft().get()
            if path is not None:
                coming.append(pool.apply_async(_read, (read, path)))
            yield photo


def _read(read: Callable[[Path], Tensor], path: Path) -> Tensor | OSError:
    try:
        return read(path)
    except OSError as error:
        return error
