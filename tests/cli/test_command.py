"""The command as a whole: its start, its errors and its exit codes."""

import configparser
import importlib.metadata
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from cli_helpers import run_command, run_main, save_photo, start_command

import dsmix_aug
from dsmix_aug._progress import Progress, track
from dsmix_aug.cli import main as main_module
from dsmix_aug.cli._messages import printable
from dsmix_aug.cli._photos import list_photos

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "torchvision", "numpy", "cv2", "PIL", "scipy", "skimage", "pandas", "timm")
HELP_WITHOUT_IMPORTS = """
import sys
from dsmix_aug.cli.main import main
try:
    main({arguments!r})
except SystemExit as stop:
    assert stop.code == 0
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize("command", [[], *([name] for name in main_module.COMMANDS)], ids=lambda words: " ".join(words))
def test_help_imports_nothing_heavy(command):
    code = HELP_WITHOUT_IMPORTS.format(arguments=[*command, "--help"], heavy=HEAVY)
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("usage: dsmix-aug")


def test_console_script_is_main():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    name, _, value = config["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == "dsmix-aug"
    assert importlib.metadata.EntryPoint(name, value, "console_scripts").load() is main_module.main


def test_version():
    code, out, err = run_command("--version")
    assert (code, out, err) == (0, f"dsmix-aug {dsmix_aug.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bake"], "invalid choice: 'bake'"),
        (
            ["info", "--nonsense"],
            "dsmix-aug info: error: unrecognized arguments: --nonsense (see dsmix-aug info --help)",
        ),
        (["distort", "a.png"], "-o/--output"),
        (["distort", "a.png", "-o", "out", "--size", "512"], "argument --size: should be WIDTHxHEIGHT in px"),
        (
            ["make-dataset", "a.png", "-o", "out", "--workers", "0"],
            "should be a whole number from 1, got '0'",
        ),
        (["make-dataset", "a.png", "-o", "out", "--all", "--per-photo", "3"], "not allowed with argument --all"),
        (["make-dataset", "a.png", "-o", "out", "--compose", "4-1"], "--compose: should be LOW-HIGH"),
        (["map", "a.png", "-o", "out", "--top", "nan"], "--top: should be a number above 0 and up to 1, got 'nan'"),
    ],
)
def test_arguments_that_cannot_be_parsed(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run_main(*arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distort", "gone\n.png", "--grid", "-o", "out"], r"there is no file or folder gone\n.png"),
        (["distort", "photo.png", "-o", "out"], "--type or --grid is needed"),
        (["distort", "photo.png", "--type", "JPEGS", "-o", "out"], "--type: did you mean 'jpeg'? 'JPEGS' is unknown"),
        (["distort", "photo.png", "--type", "jpeg", "--level", "6", "-o", "out"], "between 1 and 5, got 6"),
        (["distort", ".", "--grid", "-o", "out"], "holds no photo"),
        (["make-dataset", "photo.png", "-o", "out", "--per-photo", "122"], "121 types and levels, got 122"),
        (["make-dataset", "photo.png", "-o", "out", "--compose", "1-9"], "of different families, of which there are 7"),
        (["make-dataset", "photo.png", "-o", "out", "--compose", "2", "--all"], "--compose: cannot be used with --all"),
        (["map", "photo.png", "-o", "out", "--patch-size", "8"], "--patch-size needs a REFERENCE"),
        (["map", "photo.png", "-o", "out", "--device", "warp"], "device should be one that torch knows"),
        (["score", "photo.png", "--device", "warp"], "device should be one that torch knows"),
        (["score", "photo.png", "--weights", "folder"], "--weights: folder holds no quality_model-NAME.safetensors"),
        (["score", "photo.png", "--weights", "huge"], "--weights: there is no file huge"),
    ],
)
def test_wrong_use_is_one_line_before_any_work(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    if "." not in arguments:
        save_photo(tmp_path / "photo.png", 0)
    assert run_main(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_names_what_to_install(monkeypatch, tmp_path, capsys):
    save_photo(tmp_path / "photo.png", 0)
    monkeypatch.delitem(sys.modules, "dsmix_aug.cli._score", raising=False)
    monkeypatch.setitem(sys.modules, "dsmix_aug.nriqa.quality_model", None)
    assert run_main("score", tmp_path / "photo.png") == 2
    assert "pip install 'dsmix-aug[score]'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_closed_pipe_is_quiet(tmp_path):
    save_photo(tmp_path / "photo.png", 0)
    with start_command("distort", tmp_path / "photo.png", "--type", "jpeg", "-o", tmp_path / "out") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_interruption_is_one_line(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.COMMANDS["info"], "run", interrupt)
    assert run_main("info") == 130
    assert capsys.readouterr().err == "dsmix-aug info: interrupted; what was written is complete\n"


def test_info_names_versions_types_and_weights(capsys):
    assert run_main("info") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"dsmix-aug {dsmix_aug.__version__}" in out
    assert f"torch {importlib.metadata.version('torch')}" in out
    assert "gaussian_blur" in out
    assert out.count("checksum ok") == 2


def test_info_tells_damaged_weights(tmp_path, monkeypatch, capsys):
    import dsmix_aug.cli._info
    import dsmix_aug.weights

    for file in dsmix_aug.weights.FOLDER.iterdir():
        if file.suffix in ("", ".safetensors") and file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged = next(tmp_path.glob("dsm_estimator-*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    monkeypatch.setattr(dsmix_aug.weights, "FOLDER", tmp_path)
    monkeypatch.setattr(dsmix_aug.cli._info, "FOLDER", tmp_path)
    assert run_main("info") == 1
    assert "is damaged: its SHA-256" in capsys.readouterr().out


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_list_on_stdin(separator, photos, tmp_path, monkeypatch):
    paths = [path for path in sorted(photos.rglob("*.png")) if b"\n" not in os.fsencode(path) or separator == b"\0"]
    content = separator.join(map(os.fsencode, paths)) + separator
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
    assert [photo.path for photo in list_photos(["-"])] == paths


def test_a_photo_that_is_given_twice_counts_once(photos):
    path = photos / "zwölf bäume.png"
    listed = list_photos([str(path), str(photos)])
    assert listed[0].name == "zwölf bäume.png"
    assert len(listed) == 3


@pytest.mark.parametrize("text", ["\x1b[31mred", "bell\a", "line\nbreak", "\udcff"])
def test_messages_hold_no_control_characters(text):
    assert printable(text).isprintable()
    printable(text).encode()


def test_progress_is_lines_without_a_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Progress("work", 40, "photos") as progress:
        for _ in range(40):
            now[0] += 1.0
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "work: 10/40 photos, 1/s, 0:00:30 left"
    assert len(lines) == 4


def test_progress_of_a_job_that_goes_on(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for shown in (True, False):
        with Progress("train", 40, "steps", done=20, shown=shown) as progress:
            now[0] += 10.0
            progress.advance("loss 0.5")
    assert capsys.readouterr().err == "train: 21/40 steps, 0.1/s, 0:03:10 left, loss 0.5\n"


def test_tracked_items_come_in_order(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track("abc", "letters", "letters")) == ["a", "b", "c"]
    assert "letters: 3/3 letters" in capsys.readouterr().err


def test_progress_is_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("work", 2) as progress:
        progress.advance()
        progress.advance()
    assert "\r[##############################] work: 2/2 photos" in capsys.readouterr().err
