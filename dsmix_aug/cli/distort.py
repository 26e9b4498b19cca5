"""Distort photos by type and level, or show all 25 types at 5 levels on one sheet.

Files are named PHOTO-TYPE-LEVEL and PHOTO-grid. The parameters are meant for photos of about 512x384 px: --size makes
them so. One seed gives the same pixels each time.

  dsmix-aug distort cat.png --type jpeg --level 4 -o out
  dsmix-aug distort photos --type jpeg white_noise -o out     (all five levels of two types)
  dsmix-aug distort cat.png --grid -o out
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dsmix_aug.cli._arguments import add_force, add_output, add_seed, add_size
from dsmix_aug.cli._photos import add_photos_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``distort``."""
    add_photos_argument(parser)
    add_output(parser, "folder of the distorted photos")
    parser.add_argument("--type", nargs="+", action="extend", metavar="TYPE", help="types, or all; such as jpeg")
    parser.add_argument(
        "--level", nargs="+", action="extend", type=int, metavar="LEVEL", help="levels from 1 to 5 (default: all five)"
    )
    parser.add_argument(
        "--grid",
        action="store_true",
        help="write one sheet of each photo, PHOTO-grid.png: its types (default: all) at its levels, with parameters "
        "and the mean opinion of KADID-10k's observers, 1 bad to 5 excellent",
    )
    parser.add_argument("--format", choices=["png", "jpg"], default="png", help="of the photos; jpg is lossy (95)")
    add_size(parser)
    add_seed(parser)
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Distort the photos, and return the exit code."""
    from dsmix_aug.cli._distort import distort_photos

    if not args.type and not args.grid:
        raise ValueError("--type or --grid is needed; dsmix-aug info lists the types")
    return distort_photos(args, Path(args.output))
