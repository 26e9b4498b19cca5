"""The command line of the stages: what is refused before any work, resuming, and one line when it is interrupted."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsmix_aug.nriqa import command_line, pipeline
from dsmix_aug.nriqa.datasets import LOADERS
from dsmix_aug.nriqa.datasets.names import LOADER_NAMES
from dsmix_aug.nriqa.runs.config import Machine
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.names import REMARKS, STAGE_NAMES
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import ROWS
from dsmix_aug.nriqa.runs.run import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAVY = ("torch", "torchvision", "numpy", "cv2", "PIL", "scipy", "skimage", "pandas", "timm", "sklearn")
HELP_WITHOUT_IMPORTS = """
import runpy, sys
sys.argv = [{script!r}, "--help"]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as stop:
    assert not stop.code
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "name",
    [path.name for path in sorted(EXAMPLES.glob("*.py")) if path.name != "collate_quickstart.py"],  # has no options
)
def test_help_imports_nothing_heavy(name):
    code = HELP_WITHOUT_IMPORTS.format(script=str(EXAMPLES / name), heavy=HEAVY)
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("usage: ")


def test_the_names_that_help_prints_are_those_there_are():
    assert tuple(LOADERS) == LOADER_NAMES
    assert tuple(pipeline.STAGES) == STAGE_NAMES
    assert set(PRESETS) == set(REMARKS)


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Start the pipeline with arguments, and stages that do what is asked for; return the exit code."""

    def start(*arguments, stage_does=lambda run: None, stages=("dsm",)):
        for stage in stages:
            monkeypatch.setitem(pipeline.STAGES, stage, stage_does)
        monkeypatch.setattr(pipeline, "_print_summary", lambda run, stages: None)
        monkeypatch.setattr(sys, "argv", ["pipeline", "--out", str(tmp_path), *map(str, arguments)])
        try:
            command_line.run_pipeline("About.", stages=stages)
        except SystemExit as stop:
            return stop.code
        return 0

    return start


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "seed should be in [0, 4294967295], got -1"),
        (["--set", "split_count=0"], "split_count should be at least 1, got 0"),
        (["--set", "held_out_side=10"], "held_out_side should be at least 48 px"),
        (["--set", "pretrain.steps=0"], "pretrain.steps should be at least 1, got 0"),
        (["--set", "steps=10"], "did you mean dsm.steps or pretrain.steps? Settings are: dsm.steps"),
        (["--set", "mix_probability=2"], "mix_probability should be in [0, 1], got 2.0"),
        (["--workers", "-1"], "workers should be at least 0, got -1"),
        (["--device", "gpu"], "device should be one that torch knows"),
        (["--resume", "nothing"], "there is no run in nothing"),
        (["--resume", "nothing", "--seed", "0"], "--resume goes on with the run as it is; leave out --seed"),
    ],
)
def test_what_cannot_be_met_is_said_before_a_folder_is_claimed(start, tmp_path, capsys, arguments, message):
    preset = [] if "--resume" in arguments else ["--preset", "smoke"]
    assert start(*preset, *arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_is_one_line_that_says_how_to_go_on(start, tmp_path, capsys):
    def interrupted(run):
        raise KeyboardInterrupt

    assert start("--preset", "smoke", stage_does=interrupted) == 130
    (line,) = capsys.readouterr().err.strip().splitlines()
    folder = tmp_path / "smoke"
    assert line == f"pipeline: interrupted; the same command, or --resume {folder}, goes on from the last checkpoint"
    assert start("--resume", folder) == 0


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("results.csv is damaged")])
def test_what_stops_a_stage_is_one_line(start, capsys, error):
    def fail(run):
        raise error

    assert start("--preset", "smoke", stage_does=fail) == 1
    assert capsys.readouterr().err.strip() == f"pipeline: stage dsm: {error}"


def test_a_resumed_run_keeps_its_settings(start, tmp_path):
    config = replace(PRESETS["smoke"], seed=7, split_count=2)
    Run(tmp_path / "run", config, Machine(), stages=("dsm",))
    seen = []
    assert start("--resume", tmp_path / "run", stage_does=lambda run: seen.append(run.config)) == 0
    assert seen == [config]
    assert RunFolder(tmp_path / "run").config == config


def test_help_says_presets_rows_and_settings_once(start, capsys):
    assert start("--help") == 0
    printed = capsys.readouterr().out
    for group in ("the run:", "the data:", "what is trained and compared", "the machine:"):
        assert group in printed
    assert all(remark in printed for remark in REMARKS.values())
    assert printed.count("teacher_last_layer") == 1
    assert all(name in printed for name in ROWS)
    assert "stand_in_levels" in printed
    assert "None" not in printed


def test_the_start_says_how_long_it_may_take(start, capsys):
    assert start("--preset", "smoke") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"Preset smoke: {REMARKS['smoke']}."
    assert printed[1] == "Training: 4 steps for the DSM"


@pytest.mark.parametrize(
    ("stages", "lines"),
    [
        (("dsm", "pretrain"), ["Training: 4 steps for the DSM, 2 x 4 to pre-train"]),
        (("pretrain", "probe"), ["Training: 2 x 4 to pre-train"]),
        (("evaluate",), []),
    ],
)
def test_the_start_says_what_these_stages_train(start, capsys, stages, lines):
    assert start("--preset", "smoke", stages=stages) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "Training" in line] == lines


@pytest.mark.parametrize("allowed", [False, True])
def test_images_outside_of_a_table_are_used_when_allowed(tmp_path, capsys, allowed):
    photos = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    (tmp_path / "table").mkdir()
    lines = [f"../{number}.png,{number}" for number in range(len(photos))]
    (tmp_path / "table/scores.csv").write_text("\n".join(["image,score", *lines]))
    parser = command_line.make_parser("About.")
    given = ["--preset", "smoke", f"--data=mine={tmp_path / 'table/scores.csv'}"]
    args = parser.parse_args([*given, *(["--allow-outside"] if allowed else [])])
    if allowed:
        run = pipeline.open_run(parser, args, tmp_path / "run", ["probe"])
        assert len(run.scored_sets[0].images) == len(photos)
    else:
        with pytest.raises(SystemExit):
            pipeline.open_run(parser, args, tmp_path / "run", ["probe"])
        assert "lies outside of" in (told := capsys.readouterr().err)
        assert "--allow-outside" in told
