"""The command line that the pipeline's scripts share."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from dsmix_aug.nriqa.datasets import LOADERS
from dsmix_aug.nriqa.datasets.opinion_photos import OPINIONS_NAME, check_count
from dsmix_aug.nriqa.runs.config import Config, Machine
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import ROWS
from dsmix_aug.nriqa.runs.run import Run


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that decide a run."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--preset", default="demo", choices=list(PRESETS), help="size of the run")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument(
        "--name", help="folder of this run in --out; a run of that name is resumed (default: the preset)"
    )
    parser.add_argument("--photos", help="folder of pristine photos (default: those inside scikit-image)")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a dataset with quality scores: any CSV file with image and score columns; the unpacked folder of one of "
        f"{', '.join(LOADERS)}; or {OPINIONS_NAME}=N for N images that the distortion bank makes of the pristine "
        "photos, scored by the mean opinion of their class; may be given several times (default: held-out photos, "
        "distorted, scored by SSIM as a stand-in)",
    )
    parser.add_argument(
        "--joint",
        nargs="+",
        default=[],
        metavar="NAME[=WEIGHT]",
        help="fit one more probe to these datasets of --data together, on the scale of the first; WEIGHT is that of "
        "each image (default: chosen by cross-validation)",
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="rows to compare (default: the preset's)")
    parser.add_argument("--backbone", help="efficientnet_lite0, _lite1, _lite2 or a timm model (default: the preset's)")
    parser.add_argument(
        "--teacher",
        help="efficientnet_lite0, _lite1, _lite2, torchvision weights, a timm model, or none (default: the preset's)",
    )
    parser.add_argument("--seed", type=int, help="seed of everything drawn (default: the preset's)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="change any other setting of the preset, such as weighting=mass or pretrain.steps=1000; may be given "
        "several times",
    )
    parser.add_argument("--device", default="cpu", help="device of the networks, such as cpu or cuda")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that make the training batches; with a GPU, give it some"
    )
    return parser


def open_run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Run:
    """Return the run that the arguments ask for, new or resumed; exit with a message if they cannot be met."""
    try:
        config = make_config(args)
        return Run(args.out / (args.name or args.preset), config, Machine(args.device, args.workers))
    except (ValueError, OSError) as error:
        parser.error(str(error))


def make_config(args: argparse.Namespace) -> Config:
    """Return the preset with what the arguments change.

    Raises:
        ValueError: If ``--data`` is not NAME=PATH or gives a name twice, or ``--set`` changes no setting.
    """
    changes: dict[str, Any] = {
        name: getattr(args, name) for name in ("backbone", "teacher", "seed") if getattr(args, name) is not None
    }
    if args.rows:
        changes["rows"] = tuple(args.rows)
    if args.photos:
        changes["photos"] = str(Path(args.photos).resolve())
    if args.data:
        changes["data"] = tuple(map(_parse_data, args.data))
        names = [name for name, _ in changes["data"]]
        if len(set(names)) < len(names):
            raise ValueError(f"--data gives a name twice: {', '.join(names)}")
    if args.joint:
        changes["joint"] = tuple(map(_parse_joint, args.joint))
    config = dataclasses.replace(PRESETS[args.preset], **changes)
    for given in args.set:
        config = config.with_setting(*_part(given, "--set", "SETTING=VALUE"))
    return config


def _parse_data(given: str) -> tuple[str, str]:
    name, path = _part(given, "--data", "NAME=PATH")
    if name == OPINIONS_NAME:
        return name, str(check_count(path))
    return name, str(Path(path).expanduser().resolve())


def _parse_joint(given: str) -> tuple[str, float | None]:
    name, sign, weight = given.partition("=")
    try:
        return name, float(weight) if sign else None
    except ValueError as error:
        raise ValueError(f"--joint should be NAME or NAME=WEIGHT, got {given!r}") from error


def _part(given: str, option: str, form: str) -> tuple[str, str]:
    name, _, value = given.partition("=")
    if not name or not value:
        raise ValueError(f"{option} should be {form}, got {given!r}")
    return name, value


def print_skipped(run: Run) -> None:
    """Say how many photos were left out, and which."""
    if run.skipped:
        print(f"\n{len(run.skipped)} photo(s) skipped:")
        for entry in run.skipped:
            print(f"  {entry.path}: {entry.reason}")
