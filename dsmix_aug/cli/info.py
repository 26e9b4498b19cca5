"""Print versions, devices, distortion types and the weights that ship.

Copy the output into a question or a bug report.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``info``: none."""


def run(args: argparse.Namespace) -> int:
    """Print what is installed, and return the exit code: 1 if weights are damaged."""
    from dsmix_aug.cli._info import print_info

    return print_info()
