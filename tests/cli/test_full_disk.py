"""Outputs on a disk that is full or read-only: one line says so, nothing is lost, and the same command goes on."""

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections import namedtuple
from dataclasses import dataclass

import pytest
from cli_helpers import read_files, run_main, save_photo, start_command
from torch.utils.data import Dataset

from dsmix_aug.cli._dataset_images import Outcome
from dsmix_aug.cli._make_dataset import _make_all
from dsmix_aug.nriqa.base.files import replace_when_done

KIB = 1024


@pytest.fixture
def disk(tmp_path):
    """A small disk, where this process may mount one: a folder, and a function that changes the disk's options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if os.geteuid() != 0 or not mount(f"size={256 * KIB}"):
        pytest.skip("mounting a disk is not allowed here")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos that make 600 kB of images."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(4):
        save_photo(folder / f"{seed}.png", seed, 320, 240)
    return folder


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The files of their dataset."""
    out = tmp_path_factory.mktemp("whole") / "dataset"
    assert run_main("make-dataset", photos, "-o", out, "--workers", "1") == 0
    return read_files(out)


@contextlib.contextmanager
def plenty_of_room():
    """What is measured first does not see the end of the room."""
    usage = namedtuple("usage", "total used free")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 10**12))
        yield


def fill_up(folder):
    """Leave no room for a single byte."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4 * KIB))


def error_lines(text):
    """The lines of stderr that are no progress."""
    lines = text.replace("\r", "\n").splitlines()
    return [line for line in lines if line.startswith("dsmix-aug")]


def test_make_dataset_on_a_disk_that_fills_up(disk, photos, whole, capsys):
    folder, remount = disk
    command = ("make-dataset", photos, "-o", folder / "out", "--workers", "1")
    with plenty_of_room():
        assert run_main(*command) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert "could not be written: No space left on device; the same command goes on from here" in line
    left = read_files(folder / "out")
    assert 0 < len(left) < len(whole)
    assert left.items() <= whole.items()  # nothing is half-written, and no temporary file takes room
    assert remount("size=16m")
    assert run_main(*command) == 0
    assert read_files(folder / "out") == whole


def test_make_dataset_where_a_file_cannot_grow(photos, whole, tmp_path):
    """As on a full disk, wherever the tests run: a write in the middle of a file fails."""
    command = ("make-dataset", photos, "-o", tmp_path / "out", "--workers", "1")
    limit = sorted(len(content) for name, content in whole.items() if name.endswith(".jpg"))[2]
    with start_command(
        *command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ) as process:
        err = process.communicate(timeout=300)[1].decode()
    assert process.returncode == 2
    (line,) = error_lines(err)
    assert "could not be written: File too large; the same command goes on from here" in line
    assert read_files(tmp_path / "out").items() <= whole.items()
    assert run_main(*command) == 0
    assert read_files(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("distort", "--grid"), "out"),
        (("map",), "out"),
        (("score", "--working-side", "64", "--csv"), "scores.csv"),
        (("score", "--working-side", "64", "--json"), "scores.json"),
    ],
    ids=["distort", "map", "score_csv", "score_json"],
)
@pytest.mark.parametrize("state", ["full", "read_only"])
def test_the_other_subcommands(disk, photos, command, output, state, capsys):
    folder, remount = disk
    (folder / "mine.txt").write_text("mine")
    if state == "full":
        fill_up(folder)
    else:
        assert remount("ro")
    before = read_files(folder)
    name, *options = command
    options += [folder / output] if name == "score" else ["-o", folder / output]
    with plenty_of_room():
        assert run_main(name, photos / "0.png", *options) == 2
    captured = capsys.readouterr()
    (line,) = error_lines(captured.err)
    reason = "No space left on device" if state == "full" else "Read-only file system"
    assert f"could not be written: {reason}" in line
    assert read_files(folder) == before


def test_make_dataset_on_a_read_only_disk(disk, photos, capsys):
    folder, remount = disk
    assert remount("ro")
    assert run_main("make-dataset", photos, "-o", folder / "out") == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert "Read-only file system" in line
    assert str(folder / "out") in line
    assert not any(folder.iterdir())


@dataclass
class OneFullOneAtWork(Dataset):
    """Two photos: the first finds the disk full while the second is being written by another worker."""

    folder: object

    def __getitem__(self, index):
        if index == 1:
            with replace_when_done(self.folder / "1.jpg") as temporary:
                temporary.write_bytes(b"half")
                time.sleep(60)
        while not any(self.folder.iterdir()):
            time.sleep(0.01)
        return Outcome(0, stopped="the disk is full")


def test_make_dataset_ends_workers_without_what_they_were_writing(tmp_path):
    with pytest.raises(OSError, match="the disk is full; the same command goes on from here"):
        _make_all(OneFullOneAtWork(tmp_path), [0, 1], workers=2)
    assert not list(tmp_path.iterdir())
