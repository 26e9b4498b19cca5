"""``dsmix-aug make-dataset``: what it makes, and that neither workers nor kills change a byte of it."""

import csv
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from cli_helpers import read_files, read_image, run_main, save_photo, start_command
from kill_at_write import end_at_write
from PIL import Image, JpegImagePlugin
from torchvision.transforms.v2.functional import to_pil_image

import dsmix_aug
from dsmix_aug import DistortionBank

KILL_AT_WRITE = Path(__file__).parents[1] / "kill_at_write.py"
INTERRUPTED = "dsmix-aug make-dataset: interrupted; the same command goes on from here"
#: How often the command is killed in the test of kills; a long run sets more.
KILLS = int(os.environ.get("DSMIX_AUG_KILLS", "3"))


def read_scores(folder):
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory):
    """Return a folder of 20 photos."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(20):
        save_photo(folder / f"{seed:02}.png", seed, 160, 120)
    return folder


@pytest.fixture(scope="module")
def whole(many_photos, tmp_path_factory):
    """Return the files of a dataset that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "dataset"
    assert run_main("make-dataset", many_photos, "-o", out, "--workers", "1") == 0
    return read_files(out)


def test_images_are_those_that_the_table_says(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_main("make-dataset", photos, "-o", out, "--per-photo", "7", "--format", "png", "--seed", "5") == 0
    captured = capsys.readouterr()
    assert captured.out == f"21 images of 3 photos in {out}\n"
    assert captured.err.startswith("21 images to make: about ")
    rows = read_scores(out)
    assert list(rows[0]) == ["image", "reference", "type", "level", "value", "seed", "opinion"]
    stems = ("zwölf bäume", "-dash\nline", "sub folder/<script>")
    assert {row["reference"] for row in rows} == {f"references/{stem}.png" for stem in stems}
    assert len({row["image"] for row in rows}) == len(rows) == 21
    bank = DistortionBank()
    for row in rows:
        reference, level = read_image(out / row["reference"]), int(row["level"])
        generator = torch.Generator().manual_seed(int(row["seed"]))
        expected = bank[row["type"]](reference, level, generator=generator)
        assert torch.equal(read_image(out / row["image"]), expected)
        assert float(row["value"]) == bank[row["type"]].values[level - 1]
        assert level not in bank[row["type"]].identity_levels
        assert float(row["opinion"]) == pytest.approx(
            float(bank.opinion_scores[bank.encode(row["type"], level)]), abs=6e-3
        )
    for stem in stems:
        assert torch.equal(read_image(out / f"references/{stem}.png"), read_image(photos / f"{stem}.png"))
    assert set(read_files(out)) == {
        *(row["image"] for row in rows), *(row["reference"] for row in rows), "scores.csv", "README.md", "dataset.json"
    }  # fmt: skip


def test_all_is_every_type_at_every_level(tmp_path):
    save_photo(tmp_path / "cat.png", 0, 64, 64)
    assert run_main("make-dataset", tmp_path / "cat.png", "-o", tmp_path / "out", "--all") == 0
    made = [(row["type"], row["level"]) for row in read_scores(tmp_path / "out")]
    assert made == [(name, str(level)) for name in DistortionBank() for level in range(1, 6)]


def test_composed_images_are_those_that_the_table_says(photos, tmp_path):
    out = tmp_path / "out"
    arguments = ("--compose", "2-3", "--per-photo", "4", "--format", "png", "--workers", "2")
    assert run_main("make-dataset", photos, "-o", out, *arguments) == 0
    bank = DistortionBank()
    rows = read_scores(out)
    assert len(rows) == 12
    for row in rows:
        reference = read_image(out / row["reference"])
        params = bank.make_composed_params(reference, (2, 3), generator=torch.Generator().manual_seed(int(row["seed"])))
        assert row["type"] == "+".join(step.type for step in params[0])
        assert row["level"] == "+".join(str(step.level) for step in params[0])
        assert len(row["value"].split("+")) == len(params[0]) in (2, 3)
        assert row["opinion"] == ""
        assert torch.equal(read_image(out / row["image"]), bank.apply(reference, params))


def test_a_jpeg_has_quality_95_and_all_its_colour(tmp_path):
    save_photo(tmp_path / "cat.png", 0)
    run_main("make-dataset", tmp_path / "cat.png", "-o", tmp_path / "out", "--per-photo", "1")
    to_pil_image(read_image(tmp_path / "cat.png")).save(tmp_path / "pillow.jpg", quality=95, subsampling=0)
    for path in (tmp_path / "out").rglob("*.jpg"):
        with Image.open(path) as made, Image.open(tmp_path / "pillow.jpg") as expected:
            assert made.quantization == expected.quantization
            assert JpegImagePlugin.get_sampling(made) == 0


def test_size_and_photos_that_cannot_be_used(tmp_path, capsys):
    save_photo(tmp_path / "in/large.png", 0, width=400, height=390)
    save_photo(tmp_path / "in/small.png", 1, width=127, height=96)
    (tmp_path / "in/=broken.png").write_bytes(b"no photo")
    assert run_main("make-dataset", tmp_path / "in", "-o", tmp_path / "out", "--size", "128x96") == 1
    captured = capsys.readouterr()
    assert "5 images of 1 photos" in captured.out
    assert "small.png: 127x96 px is smaller than 128x96 px" in captured.err
    assert "=broken.png: " in captured.err
    with (tmp_path / "out/skipped.csv").open(encoding="utf-8") as file:
        assert [row["photo"] for row in csv.DictReader(file)] == ["'=broken.png", "small.png"]
    for file in ("image", "reference"):
        assert {read_image(tmp_path / "out" / row[file]).shape for row in read_scores(tmp_path / "out")} == {
            (3, 96, 128)
        }


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(workers, many_photos, whole, tmp_path):
    assert run_main("make-dataset", many_photos, "-o", tmp_path / "out", "--workers", workers) == 0
    assert read_files(tmp_path / "out") == whole


def test_other_photos_change_nothing_of_a_photo(many_photos, whole, tmp_path):
    assert run_main("make-dataset", many_photos / "07.png", "-o", tmp_path / "out") == 0
    images = {name: content for name, content in read_files(tmp_path / "out").items() if name.endswith(".jpg")}
    assert len(images) == 6
    assert images.items() <= whole.items()


@pytest.mark.slow
def test_kills_change_nothing(many_photos, whole, tmp_path):
    out, arguments = tmp_path / "out", ("make-dataset", many_photos, "-o", tmp_path / "out", "--workers", "2")
    moments = random.Random(0)
    for kill in range(KILLS):
        wanted = len(list(out.rglob("*.jpg"))) + moments.randrange(1, 10)
        with start_command(*arguments) as process:
            while process.poll() is None and len(list(out.rglob("*.jpg"))) < wanted:
                time.sleep(0.01)
            time.sleep(moments.random() / 20)
            process.send_signal((signal.SIGKILL, signal.SIGTERM)[kill % 2])
        if process.returncode == 0 or (out / "scores.csv").exists():  # the last file: it was done
            break
    assert run_main(*arguments) == 0
    assert read_files(out) == whole


#: The signals by which a run is ended: at each write another one, or all of them in a long run.
ENDS = ("SIGKILL", "SIGTERM", "SIGINT")


def end_at_every_write(photos: str, folder: Path) -> None:
    """Make a dataset that is ended at its first write, another at its second and so on; then let each go on.

    Prints how many were ended.
    """
    for distortion in DistortionBank().values():  # loads packages, which each fork would load again
        distortion(torch.zeros(3, 64, 64), level=3)
    arguments = ("make-dataset", photos, "--per-photo", "2", "--workers", "2", "-o")
    assert run_forked(*arguments, folder / "whole") == 0
    whole, ended = read_files(folder / "whole"), 0
    for number in itertools.count(1):
        for ended_by in ENDS if "DSMIX_AUG_KILLS" in os.environ else [ENDS[number % 3]]:
            out = folder / f"{number}-{ended_by}"
            code = run_forked(*arguments, out, at=(signal.Signals[ended_by], "", number))
            if code == 0:  # fewer writes than that
                print(ended)
                return
            assert code == (130 if ended_by == "SIGINT" else -signal.Signals[ended_by])
            left = read_files(out, ".tmp.")  # which a worker that still ends may take away
            assert left.items() <= whole.items()
            assert "scores.csv" not in left
            assert run_forked(*arguments, out) == 0
            assert read_files(out) == whole
            ended += 1


def run_forked(*arguments, at=None):
    """Run the command in a fork of this process, ended ``at`` a signal and a write, and return its exit code."""

    def target():
        if at is not None:
            end_at_write(*at)
        sys.exit(run_main(*arguments))

    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.slow
def test_ended_at_any_write_it_goes_on_to_the_same_bytes(tmp_path):
    for seed in range(3):
        save_photo(tmp_path / "photos" / f"{seed}.png", seed)
    # In a process of its own, whose forks need not load the packages and are not those of a process with threads.
    code = "import pathlib, sys, test_make_dataset; test_make_dataset.end_at_every_write(sys.argv[1], pathlib.Path())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "photos")]
    (tmp_path / "out").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path / "out", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("interrupted; the same command goes on from here") >= 4
    assert "Traceback" not in done.stderr
    writes = 3 * 3 + 3  # of each photo the reference and two images; settings, README and scores
    assert int(done.stdout.split()[-1]) == writes * (3 if "DSMIX_AUG_KILLS" in os.environ else 1)


@pytest.mark.slow
def test_ctrl_c_ends_busy_workers_and_says_how_to_go_on(many_photos, whole, tmp_path):
    out, arguments = tmp_path / "out", ("make-dataset", many_photos, "-o", tmp_path / "out", "--workers", "2")
    script = [KILL_AT_WRITE, "SIGINT", "references/01.jpg", "1", Path(dsmix_aug.__file__).parent / "__main__.py"]
    command = [sys.executable, *map(str, [*script, *arguments])]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 130
    assert finished.stderr.splitlines()[-1] == INTERRUPTED
    assert "Traceback" not in finished.stderr
    assert not (out / "references/01.jpg").exists()  # its worker was not waited for
    assert run_main(*arguments) == 0
    assert read_files(out) == whole


@pytest.mark.slow
def test_a_killed_worker_is_a_line_that_names_the_photo(many_photos, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys\n"
        "from dsmix_aug.cli import _dataset_images as images, main\n"
        "make = images.PhotoImages.__getitem__\n"
        "def make_or_die(self, index):\n"
        "    if index == 7 and self.folder is not None:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return make(self, index)\n"
        "images.PhotoImages.__getitem__ = make_or_die\n"
        "sys.exit(main.main(sys.argv[1:]))\n"
    )
    arguments = ["make-dataset", many_photos, "-o", tmp_path / "out", "--workers", "1"]
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    # The worker may die before what it made of the photo before has left it.
    assert done.stderr.splitlines()[-1] in {
        f"dsmix-aug make-dataset: error: a worker process was killed, perhaps for memory, at {many_photos / name}; "
        "the same command goes on from here"
        for name in ("06.png", "07.png")
    }
    assert len(list((tmp_path / "out/references").iterdir())) == 7


def test_half_written_files_are_removed(many_photos, whole, tmp_path):
    out, arguments = tmp_path / "out", ("make-dataset", many_photos, "-o", tmp_path / "out")
    assert run_main(*arguments) == 0
    (out / "scores.csv").unlink()
    (out / "images/00-jpeg-1.jpg").unlink(missing_ok=True)
    (out / "references/03.jpg").unlink()
    (out / "images/.tmp.00-jpeg-1.jpg").write_bytes(b"half")
    assert run_main(*arguments) == 0
    assert read_files(out) == whole


def test_a_complete_dataset_is_left_alone_unless_forced(many_photos, whole, tmp_path, capsys):
    out, arguments = tmp_path / "out", ("make-dataset", many_photos, "-o", tmp_path / "out")
    run_main(*arguments)
    (out / "images/mine.jpg").write_bytes(b"mine")
    assert run_main(*arguments) == 0
    assert "is complete; --force makes it again" in capsys.readouterr().err
    assert run_main(*arguments, "--seed", "1") == 2
    assert "holds another dataset (seed 0, now 1); --force makes it anew" in capsys.readouterr().err
    assert run_main(*arguments, "--force") == 0
    assert read_files(out) == whole


def test_a_kill_before_the_settings_are_written_leaves_no_other_folder(many_photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.tmp.1.0a.json").write_text("{")
    assert run_main("make-dataset", many_photos / "07.png", "-o", tmp_path / "out", "--per-photo", "1") == 0
    assert not list((tmp_path / "out").glob(".tmp.*"))


def test_another_folder_is_not_touched(many_photos, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    assert run_main("make-dataset", many_photos, "-o", tmp_path / "mine") == 2
    assert "is not empty" in capsys.readouterr().err
    assert read_files(tmp_path / "mine") == {"thesis.txt": b"mine"}
    assert run_main("make-dataset", many_photos, "-o", many_photos / "out") == 2
    assert "should not be inside the photos' folder" in capsys.readouterr().err
    assert not (many_photos / "out").exists()


def test_a_disk_without_room_is_told_before_any_image(many_photos, tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    assert run_main("make-dataset", many_photos, "-o", tmp_path / "out") == 2
    assert "there is not enough room" in capsys.readouterr().err
    assert set(read_files(tmp_path / "out")) == {"dataset.json"}


def test_the_room_told_is_that_taken(many_photos, whole, tmp_path, capsys):
    run_main("make-dataset", many_photos, "-o", tmp_path / "out")
    told = float(capsys.readouterr().err.split("about ")[1].split()[0]) * 1e9
    taken = sum(len(content) for name, content in whole.items() if name.endswith(".jpg"))
    assert told == pytest.approx(taken, rel=0.5)


def test_settings_and_readme_name_the_versions(whole):
    settings = json.loads(whole["dataset.json"])
    assert settings["torch"] == torch.__version__
    assert settings["photos"] == 20
    for version in (settings["torch"], settings["opencv"], settings["pillow"], settings["dsmix_aug"]):
        assert version in whole["README.md"].decode()
