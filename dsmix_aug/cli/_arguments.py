"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
from pathlib import Path

#: Upper ends of heat maps' scales: the bank's stronger levels reach the first, photos as people have them the second.
TOP_MEASURED, TOP_PREDICTED = 0.2, 0.05


def add_output(parser: argparse._ActionsContainer, help: str) -> None:
    """Add ``-o``, the output folder, which has to be given."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help=help)


def add_force(parser: argparse._ActionsContainer) -> None:
    """Add ``--force``."""
    parser.add_argument("--force", action="store_true", help="overwrite what is there")


def add_seed(parser: argparse._ActionsContainer) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of everything drawn (default: 0)")


def add_size(parser: argparse._ActionsContainer) -> None:
    """Add ``--size``."""
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="WxH",
        help="shrink each photo to cover this size in px, such as 512x384, and crop its centre; smaller photos are "
        "skipped, since enlarging blurs (default: as they are)",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", default="cpu", help="device of the networks, such as cpu or cuda (default: cpu)")


def parse_size(text: str) -> tuple[int, int]:
    """Parse ``512x384`` as width and height.

    Raises:
        argparse.ArgumentTypeError: If the text has another form.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"should be WIDTHxHEIGHT in px, such as 512x384, got {text!r}")
    return int(width), int(height)


def add_top(parser: argparse._ActionsContainer, default: float | None, described: str) -> None:
    """Add ``--top``, the scale of heat maps, with its default and the description of it in the help."""
    parser.add_argument(
        "--top",
        type=parse_top,
        default=default,
        metavar="DSM",
        help=f"the DSM of the brightest colour of heat maps, and of all above it (default: {described})",
    )


def parse_top(text: str) -> float:
    """Return the upper end of a scale, above 0 and up to 1.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    try:
        top = float(text)
    except ValueError:
        top = 0.0
    if not 0 < top <= 1:
        raise argparse.ArgumentTypeError(f"should be a number above 0 and up to 1, got {text!r}")
    return top


def parse_count(text: str) -> int:
    """Return a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"should be a whole number from 1, got {text!r}")
    return int(text)


def parse_range(text: str) -> tuple[int, int]:
    """Parse ``1-4`` as a range of numbers from 1; ``3`` is ``3-3``.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    low, dash, high = text.partition("-")
    if not dash:
        high = low
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high)):
        raise argparse.ArgumentTypeError(f"should be LOW-HIGH, whole numbers from 1, such as 1-4, got {text!r}")
    return int(low), int(high)
