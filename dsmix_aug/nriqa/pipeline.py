"""What the command line of the pipeline asks for: a run is opened, its stages run, and what they found is printed."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.datasets.made_sets import MADE_SETS
from dsmix_aug.nriqa.datasets.names import check_dataset_name
from dsmix_aug.nriqa.datasets.opinion_photos import check_counts
from dsmix_aug.nriqa.runs.config import Config, Machine
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.names import DSM, EVALUATE, PRETRAIN
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages import STAGES
from dsmix_aug.nriqa.stages.evaluate import caveat, format_table

#: Options that change a config, which a resumed run keeps as it is.
CHANGES = ("preset", "name", "joint", "rows", "backbone", "teacher", "seed", "set")


def run_stages(parser: argparse.ArgumentParser, args: argparse.Namespace, folder: Path, stages: Sequence[str]) -> None:
    """Run stages as the arguments ask for, and print what they found; exit with a message if that cannot be done."""
    run = open_run(parser, args, folder, stages)
    if distributed.rank() == 0:
        _print_start(run, stages)
    for number, stage in enumerate(stages, start=1):
        if distributed.rank() == 0:
            print(f"\n[{number}/{len(stages)}] {stage}", flush=True)
        _run_stage(parser, run, stage)
    if distributed.rank() == 0:
        _print_summary(run, stages)


def open_run(parser: argparse.ArgumentParser, args: argparse.Namespace, folder: Path, stages: Sequence[str]) -> Run:
    """Return the run that the arguments ask for, new or resumed; exit with a message if they cannot be met."""
    try:
        machine = Machine(args.device, args.workers)
        return Run(folder, make_config(args), machine, stages, args.allow_outside)
    except (ValueError, OSError) as error:
        parser.error(str(error))


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


def _print_start(run: Run, stages: Sequence[str]) -> None:
    """Print how long it may take, as far as the preset knows, and what these stages train."""
    config = run.config
    networks = len(pretrainings_of(config))
    steps = {
        DSM: f"{config.dsm.steps} steps for the DSM",
        PRETRAIN: f"{networks} x {config.pretrain.steps} to pre-train",
    }
    trained = [text for stage, text in steps.items() if stage in stages]
    print(run.remark)
    if trained:
        print(f"Training: {', '.join(trained)}")


def _run_stage(parser: argparse.ArgumentParser, run: Run, stage: str) -> None:
    try:
        STAGES[stage](run)
    except FileNotFoundError as error:  # an earlier stage is missing
        parser.error(str(error))
    except ChildProcessError as error:
        parser.exit(1, f"\n{parser.prog}: stage {stage}: {error}; the same command goes on from here\n")
    except (ValueError, OSError, FloatingPointError) as error:
        parser.exit(1, f"\n{parser.prog}: stage {stage}: {error}\n")


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
        raise ValueError(f"--joint should be NAME[+NAME...] or NAME[+NAME...]=WEIGHT, got {given!r}") from error


def _part(given: str, option: str, form: str) -> tuple[str, str]:
    name, _, value = given.partition("=")
    if not name or not value:
        raise ValueError(f"{option} should be {form}, got {given!r}")
    return name, value
