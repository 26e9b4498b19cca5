"""Score the quality of photos, and draw where each looks distorted.

Needs pip install 'dsmix-aug[score]'. Scores are predicted by the weights that ship, by weights that
examples/export_weights.py wrote, or by a finished run; higher is better. Without --csv and --json a table is printed,
the lowest score first. Heat maps show the photo (shrunk to a shorter side of 384 px if it is larger) next to its
predicted distortion-induced sensitivity map (DSM). All have one scale, from 0 to --top, written at the colour bar.

  dsmix-aug score photos
  dsmix-aug score photos --csv scores.csv --maps maps
  find . -name '*.jpg' -print0 | dsmix-aug score - --json
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dsmix_aug.cli._arguments import TOP_PREDICTED, add_device, add_force, add_top, parse_count
from dsmix_aug.cli._photos import add_photos_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``score``."""
    add_photos_argument(parser)
    output = parser.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument("--csv", nargs="?", const="-", metavar="FILE", help="write CSV to a file, or to stdout")
    output.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write JSON to a file, or to stdout")
    maps = parser.add_argument_group("heat maps")
    maps.add_argument("--maps", type=Path, metavar="FOLDER", help="write a heat map of each photo, PHOTO-dsm.png")
    add_top(maps, TOP_PREDICTED, str(TOP_PREDICTED))
    model = parser.add_argument_group("model")
    model.add_argument(
        "--weights",
        default="small",
        help="weights that ship, a quality_model-NAME.safetensors file, or a folder that holds one and, for --maps, "
        "dsm_estimator-NAME.safetensors (default: small)",
    )
    model.add_argument("--run", type=Path, metavar="RUN", help="folder of a finished run to use instead of weights")
    model.add_argument("--row", help="whose features to use, of a run (default: its first row)")
    model.add_argument("--dataset", help="whose scores to predict, of a run (default: the first by name)")
    model.add_argument(
        "--working-side",
        type=parse_working_side,
        default=512,
        metavar="PX",
        help="shrink photos whose shorter side is larger to this one, or 'original' to score all at their own size, "
        "which takes long for large photos (default: 512)",
    )
    add_device(model)
    add_force(parser)


def parse_working_side(text: str) -> int | None:
    """Return the shorter side in px that photos are scored at, ``None`` for ``original``.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    return None if text == "original" else parse_count(text)


def run(args: argparse.Namespace) -> int:
    """Score the photos, and return the exit code."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # read when torch loads: threads that wait leave cores to others
    from dsmix_aug.cli._score import score_photos

    return score_photos(args)
