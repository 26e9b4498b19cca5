"""Messages on stderr: one line each, whatever is in a file's name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dsmix_aug.nriqa.base.names import printable

#: How many failed photos are named before the rest is counted.
NAMED = 10


def complain(command: str, message: str) -> None:
    """Print one line to stderr that names the subcommand."""
    print(f"dsmix-aug {command}: {printable(message)}", file=sys.stderr)


def complain_of_photos(command: str, failed: Sequence[tuple[str, str]]) -> None:
    """Name the photos that failed, as pairs of name and reason, the first few one by one."""
    for name, reason in failed[:NAMED]:
        complain(command, f"skipped {name}: {reason}")
    if len(failed) > NAMED:
        complain(command, f"skipped {len(failed) - NAMED} more")
