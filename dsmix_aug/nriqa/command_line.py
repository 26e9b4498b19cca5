"""The command line that the pipeline's scripts share; what it asks for is done by :mod:`dsmix_aug.nriqa.pipeline`.

It imports nothing that takes time, so that ``--help`` comes at once.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from dsmix_aug.nriqa.base.arguments import Parser
from dsmix_aug.nriqa.datasets.names import LOADER_NAMES
from dsmix_aug.nriqa.runs.config import settings
from dsmix_aug.nriqa.runs.names import REMARKS, STAGE_NAMES
from dsmix_aug.nriqa.runs.rows import ROWS


def run_pipeline(description: str | None, stages: Sequence[str] | None = None) -> None:
    """Run stages as the command line asks for, and print what they found.

    Args:
        description: What the script does.
        stages: The stages; by default the command line chooses, and without a word of it all of them run.
    """
    parser = make_parser(description)
    if stages is None:
        parser.add_argument(
            "--stages", nargs="+", choices=STAGE_NAMES, default=STAGE_NAMES, help="stages to run (default: all)"
        )
    args = parser.parse_args()
    folder = args.resume or args.out / (args.name or args.preset or "demo")
    try:
        from dsmix_aug.nriqa.pipeline import run_stages

        run_stages(parser, args, folder, stages or args.stages)
    except KeyboardInterrupt:
        way_on = f"the same command, or --resume {folder}, goes on from the last checkpoint"
        parser.exit(130, f"\n{parser.prog}: interrupted; {way_on}\n")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that decide a run."""
    presets = "\n".join(f"  {name:11}{remark}" for name, remark in REMARKS.items())
    parser = Parser(
        description=description,
        epilog=f"presets:\n{presets}\n\nrows:\n  {_wrap(ROWS)}\n\nsettings of --set:\n  {_wrap(settings())}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_run_arguments(parser.add_argument_group("the run"))
    _add_data_arguments(parser.add_argument_group("the data"))
    _add_training_arguments(parser.add_argument_group("what is trained and compared (default: the preset's)"))
    machine = parser.add_argument_group("the machine")
    machine.add_argument("--device", default="cpu", help="device of the networks, such as cpu or cuda (default: cpu)")
    machine.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that make the training batches; with a GPU, give it some (default: 0)",
    )
    return parser


def _add_run_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--preset", choices=list(REMARKS), metavar="PRESET", help="size of the run, see below (default: demo)"
    )
    group.add_argument("--out", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    group.add_argument(
        "--name", help="folder of this run in --out; a run of that name is resumed (default: the preset)"
    )
    group.add_argument(
        "--resume", type=Path, metavar="FOLDER", help="go on with the run in this folder, with the settings that it has"
    )


def _add_data_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--photos", help="folder of pristine photos (default: those inside scikit-image)")
    group.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a dataset with quality scores: any CSV file with image and score columns; the unpacked folder of one of "
        f"{', '.join(LOADER_NAMES)}; opinions=N for N images that the distortion bank makes of the pristine photos, "
        "scored by the mean opinion of their class; or estimated=N for N that show what cameras and the web do, "
        "scored by an estimate; may be given several times (default: held-out photos, distorted, scored by SSIM as a "
        "stand-in)",
    )
    group.add_argument(
        "--joint",
        nargs="+",
        default=[],
        metavar="NAME[+NAME...][=WEIGHT]",
        help="fit one more probe to these datasets of --data together, on the scale of the first; a + joins those "
        "whose scores are on one scale already; WEIGHT is that of each image (default: chosen by cross-validation)",
    )
    group.add_argument(
        "--allow-outside",
        action="store_true",
        help="let the CSV files of --data list images outside of their folders; for files that you trust",
    )


def _add_training_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="ROW", help="rows to compare, see below")
    group.add_argument("--backbone", help="efficientnet_lite0, _lite1, _lite2 or a timm model")
    group.add_argument(
        "--teacher", help="efficientnet_lite0, _lite1, _lite2, torchvision weights, a timm model, or none"
    )
    group.add_argument("--seed", type=int, help="seed of everything drawn")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="change any other setting, such as weighting=mass or pretrain.steps=1000, see below; may be given several "
        "times",
    )


def _wrap(names: Iterable[str]) -> str:
    return textwrap.fill(", ".join(names), 100, subsequent_indent="  ")
