"""The command line that the pipeline's scripts share."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.datasets import LOADERS, check_dataset_name
from dsmix_aug.nriqa.datasets.made_sets import MADE_SETS
from dsmix_aug.nriqa.datasets.opinion_photos import check_counts
from dsmix_aug.nriqa.runs.config import Config, Machine, settings
from dsmix_aug.nriqa.runs.folder import DSM, EVALUATE, PRETRAIN, RunFolder
from dsmix_aug.nriqa.runs.presets import PRESETS, REMARKS
from dsmix_aug.nriqa.runs.rows import ROWS, pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages import STAGES
from dsmix_aug.nriqa.stages.evaluate import caveat, format_table

#: Options that change a config, which a resumed run keeps as it is.
CHANGES = ("preset", "name", "joint", "rows", "backbone", "teacher", "seed", "set")


def run_pipeline(description: str | None, stages: Sequence[str] | None = None) -> None:
    """Run stages as the command line asks for, and print what they found.

    Args:
        description: What the script does.
        stages: The stages; by default the command line chooses, and without a word of it all of them run.
    """
    parser = make_parser(description)
    if stages is None:
        parser.add_argument(
            "--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="stages to run (default: all)"
        )
    args = parser.parse_args()
    chosen = list(stages or args.stages)
    try:
        run = open_run(parser, args, chosen)
        _run_stages(parser, run, chosen)
        if distributed.rank() == 0:
            _print_summary(run, chosen)
    except KeyboardInterrupt:
        way_on = f"the same command, or --resume {args.resume or run_folder(args)}, goes on from the last checkpoint"
        parser.exit(130, f"\n{parser.prog}: interrupted; {way_on}\n")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that decide a run."""
    presets = "\n".join(f"  {name:9}{remark}" for name, remark in REMARKS.items())
    parser = argparse.ArgumentParser(
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


def open_run(parser: argparse.ArgumentParser, args: argparse.Namespace, stages: Sequence[str]) -> Run:
    """Return the run that the arguments ask for, new or resumed; exit with a message if they cannot be met."""
    try:
        machine = Machine(args.device, args.workers)
        return Run(args.resume or run_folder(args), make_config(args), machine, stages)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def run_folder(args: argparse.Namespace) -> Path:
    """Return the folder of a run that is not resumed by ``--resume``."""
    return Path(args.out / (args.name or args.preset or "demo"))


def make_config(args: argparse.Namespace) -> Config:
    """Return the preset, or the resumed run's config, with what the arguments change.

    Raises:
        FileNotFoundError: If there is no run to resume.
        ValueError: If ``--data`` is not NAME=PATH or gives a name twice, ``--set`` changes no setting, or ``--resume``
            comes with changes.
    """
    if args.resume:
        given = [name for name in CHANGES if getattr(args, name) not in (None, [])]
        if given:
            raise ValueError(f"--resume goes on with the run as it is; leave out --{', --'.join(given)}")
    config = RunFolder(args.resume).config if args.resume else PRESETS[args.preset or "demo"]
    changes: dict[str, Any] = {
        name: getattr(args, name) for name in ("backbone", "teacher", "seed") if getattr(args, name) is not None
    }
    if args.rows:
        changes["rows"] = tuple(args.rows)
    if args.photos:
        changes["photos"] = str(Path(args.photos).expanduser().resolve())
    if args.data:
        changes["data"] = tuple(map(_parse_data, args.data))
        names = [name for name, _ in changes["data"]]
        if len({name.casefold() for name in names}) < len(names):  # some file systems forget the case
            raise ValueError(f"--data gives a name twice: {', '.join(names)}")
    if args.joint:
        changes["joint"] = tuple(map(_parse_joint, args.joint))
    config = dataclasses.replace(config, **changes)
    for setting in args.set:
        config = config.with_setting(*_part(setting, "--set", "SETTING=VALUE"))
    return config


def _add_run_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--preset", choices=list(PRESETS), metavar="PRESET", help="size of the run, see below (default: demo)"
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
        f"{', '.join(LOADERS)}; opinions=N for N images that the distortion bank makes of the pristine photos, scored "
        "by the mean opinion of their class; or estimated=N for N that show what cameras and the web do, scored by an "
        "estimate; may be given several times (default: held-out photos, distorted, scored by SSIM as a stand-in)",
    )
    group.add_argument(
        "--joint",
        nargs="+",
        default=[],
        metavar="NAME[=WEIGHT]",
        help="fit one more probe to these datasets of --data together, on the scale of the first; WEIGHT is that of "
        "each image (default: chosen by cross-validation)",
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


def _run_stages(parser: argparse.ArgumentParser, run: Run, stages: Sequence[str]) -> None:
    for number, stage in enumerate(stages, start=1):
        if distributed.rank() == 0:
            print(f"\n[{number}/{len(stages)}] {stage}", flush=True)
        try:
            STAGES[stage](run)
        except FileNotFoundError as error:  # an earlier stage is missing
            parser.error(str(error))
        except (ValueError, OSError, FloatingPointError) as error:
            parser.exit(1, f"\n{parser.prog}: stage {stage}: {error}\n")
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            reason = "a worker process was killed, perhaps for memory, which fewer --workers need less of"
            parser.exit(1, f"\n{parser.prog}: stage {stage}: {reason}; the same command goes on from here\n")


def _print_summary(run: Run, stages: Sequence[str]) -> None:
    if EVALUATE in stages:
        print(f"\n{caveat(run)}\n\n{format_table(run.results)}")
        if run.is_finished(DSM):
            _write_report(run)
    elif PRETRAIN in stages:
        for name in pretrainings_of(run.config):
            print(f"Backbone: {run.backbone_path(name).resolve()}")
    elif DSM in stages:
        correlation = run.correlation
        means = correlation[correlation["varies"]].groupby("distortion")["correlation"].mean()
        print(
            f"\n{run.remark}\nCorrelation of predicted and true DSM within held-out images, by type, where it varies:"
        )
        print(f"{means.to_string(float_format='{:.3f}'.format)}\n\nEstimator: {run.estimator_path.resolve()}")
    if run.skipped:
        print(f"\n{len(run.skipped)} photo(s) skipped:")
        for entry in run.skipped:
            print(f"  {printable(entry.path)}: {printable(entry.reason)}")


def _write_report(run: Run) -> None:
    try:
        from dsmix_aug.nriqa.report.page import write_report
    except ImportError as error:  # an extra of its own
        print(f"\nNo report: {error}")
    else:
        print(f"\nReport: {write_report(run).resolve()}")


def _parse_data(given: str) -> tuple[str, str]:
    name, path = _part(given, "--data", "NAME=PATH")
    if name in MADE_SETS:
        check_counts(name, path)
        return name, path
    check_dataset_name(name)
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


def _wrap(names: Iterable[str]) -> str:
    return textwrap.fill(", ".join(names), 100, subsequent_indent="  ")
