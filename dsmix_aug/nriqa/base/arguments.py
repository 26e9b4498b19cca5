"""Parsing of command lines."""

from __future__ import annotations

import argparse
from typing import NoReturn

from dsmix_aug.nriqa.base.names import printable

USAGE = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit."""
        self.exit(USAGE, f"{self.prog}: error: {printable(message)} (see {self.prog} --help)\n")
