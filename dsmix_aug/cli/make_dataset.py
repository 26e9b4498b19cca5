"""Make a folder of distorted photos with scores, like KADID-10k and KADIS-700k.

The folder holds references/ (the photos as they were distorted), images/ (PHOTO-TYPE-LEVEL), scores.csv (image,
reference, type, level, value of the type's parameter, seed, opinion: the mean of KADID-10k's observers for this type
and level, 1 bad to 5 excellent) and README.md. Photos that cannot be used are named and listed in skipped.csv.

Stopped at any moment, the same command goes on, and the folder ends with the same bytes as without a stop, for any
number of workers: what is drawn for a photo depends on --seed and the photo's name only.

JPEG files (quality 95, full colour resolution) add a slight distortion of their own to every image, references too;
--format png is exact, and three to four times as large.

  dsmix-aug make-dataset photos -o dataset --size 512x384                (5 images of each photo)
  dsmix-aug make-dataset photos -o dataset --compose 1-4                 (1 to 4 distortions on each)
  dsmix-aug make-dataset photos -o dataset --all --format png            (125 of each, as KADID-10k)
"""

from __future__ import annotations

import argparse
import os

from dsmix_aug.cli._arguments import add_force, add_output, add_seed, add_size, parse_count, parse_range
from dsmix_aug.cli._photos import add_photos_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``make-dataset``."""
    add_photos_argument(parser)
    add_output(parser, "folder of the dataset")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--per-photo",
        type=parse_count,
        default=5,
        metavar="N",
        help="images of each photo, each of another type and level, drawn from all that change it (default: 5)",
    )
    number.add_argument("--all", action="store_true", help="each of the 25 types at each of the 5 levels: 125 images")
    parser.add_argument(
        "--compose",
        type=parse_range,
        metavar="LOW-HIGH",
        help="number of distortions of different families on each image, such as 1-4, instead of one; PHOTO-composed-N",
    )
    parser.add_argument("--format", choices=["jpg", "png"], default="jpg", help="of the images (default: jpg)")
    add_size(parser)
    add_seed(parser)
    parser.add_argument(
        "--workers",
        type=parse_count,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        metavar="W",
        help="processes, each on one core (default: all cores)",
    )
    add_force(parser)
    parser.set_defaults(when_interrupted="the same command goes on from here")


def run(args: argparse.Namespace) -> int:
    """Make the dataset, and return the exit code."""
    from dsmix_aug.cli._make_dataset import make_dataset

    return make_dataset(args)
