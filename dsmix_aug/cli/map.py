"""Map where a photo looks distorted, measured against its reference or predicted.

With a reference, the distortion-induced sensitivity map (DSM) is measured: the mean of |distorted - reference| over the
channels and pixels of each patch, 0 to 1. Without, the DSM estimator predicts it, on the photo shrunk to a shorter side
of 384 px if it is larger. Written to the folder: PHOTO-dsm.npy (float32, rows x columns of patches) and PHOTO-dsm.png,
the photo next to its heat map. The scale, shown at the colour bar, goes from 0 to --top, not to the map's maximum, so
that heat maps can be compared.

  dsmix-aug map distorted.png reference.png -o maps
  dsmix-aug map photo.jpg -o maps
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dsmix_aug.cli._arguments import TOP_MEASURED, TOP_PREDICTED, add_device, add_force, add_output, add_top


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``map``."""
    parser.add_argument("distorted", type=Path, metavar="DISTORTED", help="a photo")
    parser.add_argument("reference", type=Path, nargs="?", metavar="REFERENCE", help="its pristine version")
    add_output(parser, "folder of the array and the heat map")
    parser.add_argument("--patch-size", type=int, metavar="PX", help="side of a patch, with a REFERENCE (default: 16)")
    parser.add_argument("--weights", default="small", help="the estimator's: a name or a file (default: small)")
    add_top(parser, None, f"{TOP_MEASURED} with a reference, {TOP_PREDICTED} without")
    add_device(parser)
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Write the map, print what it says, and return the exit code."""
    from dsmix_aug.cli._map import write_map

    write_map(args)
    return 0
