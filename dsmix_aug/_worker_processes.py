"""Worker processes of a DataLoader, at their start and at their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

#: Seconds to wait for a worker that was told to end.
ENDING_TIMEOUT = 10.0


def end_if_orphaned(worker: int) -> None:
    """End this worker if the process that started it is dead; a ``worker_init_fn``.

    A worker ends when its parent process is another than at its start, which PyTorch looks up after this. Of a process
    that was killed earlier, while it started workers, some would wait for work for ever.
    """
    del worker
    parent = multiprocessing.parent_process()
    # Workers of a fork server are children of the server, which ends with the process that it serves.
    if parent is not None and multiprocessing.get_start_method() != "forkserver" and os.getppid() != parent.pid:
        os._exit(1)


def end_at_once(workers: Sequence[BaseProcess]) -> None:
    """End workers whatever they are doing, where a DataLoader would wait for it."""
    with _unwatched():
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(ENDING_TIMEOUT)


@contextmanager
def _unwatched() -> Iterator[None]:
    """Keep PyTorch from raising an error for a worker that ends by a signal, as it does while it is starting."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, handler)
