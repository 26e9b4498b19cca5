"""Progress on stderr: a bar in a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

BAR_WIDTH = 30
BAR_SECONDS, LINE_SECONDS = 0.2, 10.0

T = TypeVar("T")


class Progress:
    """Tell how far a loop is, how fast, and how long it will take.

    Args:
        title: What is being done.
        total: How many units there are to do.
        unit: What is counted, plural.
        done: How many units were done before.
        shown: Whether anything is told.

    Example:
        >>> with Progress("make images", 3, "photos") as progress:
        ...     for _ in range(3):
        ...         progress.advance()
    """

    def __init__(self, title: str, total: int, unit: str = "photos", *, done: int = 0, shown: bool = True) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self._before, self._shown = done, done, shown
        self._note = ""
        self._bar = sys.stderr.isatty()
        self._start = self._told = time.monotonic()

    def advance(self, note: str = "") -> None:
        """Count one unit.

        Args:
            note: What else there is to tell, such as the loss.
        """
        self.done += 1
        self._note = note
        now = time.monotonic()
        if now - self._told >= (BAR_SECONDS if self._bar else LINE_SECONDS):
            self._told = now
            self._tell(now - self._start)

    def _tell(self, seconds: float) -> None:
        if not self._shown:
            return
        rate = (self.done - self._before) / max(seconds, 1e-9)
        left = format_seconds((self.total - self.done) / rate)
        text = f"{self.title}: {self.done}/{self.total} {self.unit}, {rate:.3g}/s, {left} left"
        text += f", {self._note}" if self._note else ""
        if self._bar:
            filled = BAR_WIDTH * self.done // max(self.total, 1)
            print(f"\r[{'#' * filled:{BAR_WIDTH}}] {text}   ", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar and self._shown and self.done > self._before:
            self._tell(time.monotonic() - self._start)
            print(file=sys.stderr)


def track(items: Sequence[T], title: str, unit: str) -> Iterator[T]:
    """Yield items, and tell how many of them are done.

    Example:
        >>> [number for number in track([1, 2], "count", "numbers")]
        [1, 2]
    """
    with Progress(title, len(items), unit) as progress:
        for item in items:
            yield item
            progress.advance()


def format_seconds(seconds: float) -> str:
    """Return a duration in the form 1:02:03.

    Example:
        >>> format_seconds(3723.4)
        '1:02:03'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
