"""A folder of every kind of file: each photo is used, the rest is named and skipped, and nothing else is written."""

import csv
import json
import os

import numpy as np
import pytest
from cli_helpers import run_main
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
#: What Pillow writes in other modes than RGB, by name and mode.
MODES = {
    "one_bit.png": "1", "palette.gif": "P", "gray.jpg": "L", "cmyk.jpg": "CMYK", "ycbcr.jpg": "YCbCr", "lab.tif": "LAB",
    "opacity.png": "RGBA", "float.tif": "F", "sixteen.png": "I;16",
}  # fmt: skip
NAMES = ["two words.png", "new\nline.png", "zwölf.png", "<script>alert(1)<|script>.png", "-dash.png", "=1+1.png"]
BAD = ["truncated.jpg", "empty.png", "text.png", "tall.png", "pipe.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "photos"
    folder.mkdir()
    rgb = Image.fromarray(PIXELS)
    for name, mode in MODES.items():
        image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else rgb.convert(mode)
        image = Image.fromarray(PIXELS[..., 0].astype(np.float32) / 255) if mode == "F" else image
        image.save(folder / name)
    for name in NAMES:
        rgb.save(folder / name)
    rgb.save(folder / "animated.png", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "pages.mpo", "MPO", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "really_a.png", "JPEG")
    rgb.save(folder / "whole.jpg")
    content = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("<script>alert(1)</script>")
    Image.new("1", (2, 70_000)).save(folder / "tall.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder)
    return folder


def good_files():
    return sorted([*MODES, *NAMES, "animated.png", "pages.mpo", "really_a.png", "whole.jpg"])


def test_make_dataset(folder, tmp_path, capsys):
    assert run_main("make-dataset", folder, "-o", tmp_path / "out", "--per-photo", "1", "--workers", "1") == 1
    with (tmp_path / "out/skipped.csv").open(encoding="utf-8", newline="") as file:
        skipped = [row["photo"] for row in csv.DictReader(file)]
    assert set(skipped) == set(BAD) & set(skipped)
    assert set(BAD) - set(skipped) <= {"pipe.png"}  # a pipe is not listed as a photo
    with (tmp_path / "out/scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(good_files())
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_score(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)  # so that paths begin with what a spreadsheet takes for a formula
    assert run_main("score", ".", "--csv", tmp_path / "scores.csv") == 1
    assert run_main("score", "=1+1.png", "text.png", "--json", tmp_path / "scores.json") == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err
    for name in ("truncated.jpg", "empty.png", "text.png", "tall.png"):
        assert f"skipped {name}: " in captured.err
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["image"].removeprefix("'") for row in rows) == good_files()
    assert all(row["image"].startswith("'") for row in rows if "=1+1" in row["image"] or "-dash" in row["image"])
    assert all(np.isfinite(float(row["score"])) for row in rows)
    scores = {row["image"]: float(row["score"]) for row in rows}
    (entry,) = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert entry["score"] == pytest.approx(scores["'=1+1.png"])
    same_pixels = [scores[name] for name in ("two words.png", "zwölf.png", "animated.png", "'-dash.png")]
    assert same_pixels == pytest.approx([same_pixels[0]] * 4)
