"""Photos and folders that this user may not read: named and skipped, by commands and by datasets."""

import csv
import ctypes
import json
import subprocess
import sys

import pytest
from cli_helpers import save_photo

#: Linux: leave the capability out of the set that a new program gets; root then meets permissions like anyone else.
DROP_CAPABILITY = 24
MAY_READ_ALL = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes rights from root by a Linux call")


@pytest.fixture
def folder(tmp_path):
    """Three photos, of which one may not be read, and a folder that may not be opened."""
    folder = tmp_path / "photos"
    for seed, name in enumerate(("a.png", "b.png", "locked.png", "closed/c.png")):
        save_photo(folder / name, seed)
    (folder / "locked.png").chmod(0)
    (folder / "closed").chmod(0)
    yield folder
    (folder / "closed").chmod(0o700)


def run(*command):
    """Run a Python program without root's right to read everything."""
    libc = ctypes.CDLL(None)

    def drop():
        for capability in MAY_READ_ALL:
            libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0)

    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=drop, check=False)


def check_named(message, folder):
    assert "Traceback" not in message
    assert f"skipped {folder / 'locked.png'}: [Errno 13] Permission denied" in message
    assert f"skipped the folder {folder / 'closed'}: Permission denied" in message


def test_score(folder, tmp_path):
    done = run("-m", "dsmix_aug", "score", folder, "--json", tmp_path / "scores.json")
    assert done.returncode == 1
    check_named(done.stderr, folder)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [entry["image"] for entry in content["scores"]] == [str(folder / name) for name in ("a.png", "b.png")]
    assert [entry["image"] for entry in content["skipped"]] == [str(folder / "locked.png")]


def test_make_dataset(folder, tmp_path):
    done = run("-m", "dsmix_aug", "make-dataset", folder, "-o", tmp_path / "out", "--per-photo", "1")
    assert done.returncode == 1
    check_named(done.stderr, folder)
    with (tmp_path / "out/skipped.csv").open(encoding="utf-8", newline="") as file:
        assert [row["photo"] for row in csv.DictReader(file)] == ["locked.png"]
    assert len(list((tmp_path / "out/references").iterdir())) == 2


def test_a_photo_that_is_all_there_is(folder, tmp_path):
    done = run("-m", "dsmix_aug", "map", folder / "locked.png", "-o", tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"error: {folder / 'locked.png'} cannot be read: [Errno 13] Permission denied" in line


def test_datasets(folder):
    (folder / "scores.csv").write_text("image,score\na.png,1\nlocked.png,2\nb.png,3\nclosed/c.png,4\n")
    done = run(
        "-c",
        "import sys\n"
        "from pathlib import Path\n"
        "from dsmix_aug.nriqa.datasets.csv_scores import load_csv\n"
        "scored = load_csv(Path(sys.argv[1]), 'mine')\n"
        "print([path.name for path in scored.images], scored.scores.tolist())",
        folder / "scores.csv",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['a.png', 'b.png'] [1.0, 3.0]"
    for name in ("locked.png", "closed/c.png"):
        assert f"{folder / name} cannot be read: [Errno 13] Permission denied" in done.stderr


def test_an_output_folder_that_is_closed(folder):
    out = folder / "closed" / "out"
    done = run("-m", "dsmix_aug", "make-dataset", folder / "a.png", "-o", out)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "Permission denied" in line
    assert str(out) in line
