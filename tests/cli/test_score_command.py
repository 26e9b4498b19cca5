"""``dsmix-aug score``."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import torch
from cli_helpers import read_files, read_image, run_main, save_photo
from PIL import Image

from dsmix_aug.cli import score
from dsmix_aug.nriqa import quality_model
from dsmix_aug.nriqa.quality_model import QualityModel
from dsmix_aug.weights import FOLDER


@pytest.fixture
def expected(photos):
    """Return the scores of the photos by path."""
    paths = sorted(photos.rglob("*.png"))
    return dict(zip(map(str, paths), QualityModel.from_pretrained("small").score(paths).tolist(), strict=True))


def test_json_holds_scores_and_skipped_photos(photos, expected, capsys):
    (photos / "broken.png").write_bytes(b"no photo")
    assert run_main("score", photos, "--json") == 1
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert {entry["image"]: entry["score"] for entry in content["scores"]} == pytest.approx(expected, abs=2e-3)
    assert [entry["image"] for entry in content["skipped"]] == [str(photos / "broken.png")]
    assert content["target"] == "MOS"
    assert "3 photo(s) scored, 1 skipped." in captured.err
    assert "broken.png" in captured.err


def test_csv_table_and_maps(photos, expected, tmp_path, capsys):
    arguments = ("score", photos, "--csv", tmp_path / "scores.csv", "--maps", tmp_path / "maps")
    assert run_main(*arguments) == 0
    assert "3 photo(s) scored, 0 skipped." in capsys.readouterr().out
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"]: float(row["score"]) for row in rows} == pytest.approx(expected, abs=2e-3)
    assert all(0 <= float(row["mean_dsm"]) <= 1 for row in rows)
    maps = {"zwölf bäume-dsm.png", "-dash\nline-dsm.png", "sub folder/<script>-dsm.png"}
    assert set(read_files(tmp_path / "maps")) == maps
    before = read_files(tmp_path)
    assert run_main(*arguments) == 2
    assert "would be overwritten; --force allows it" in capsys.readouterr().err
    assert read_files(tmp_path) == before


def test_maps_have_one_scale(tmp_path):
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    for name, pixels in (("clean", skimage.data.coffee()), ("noise", noise)):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    assert run_main("score", tmp_path / "in", "--maps", tmp_path / "maps") == 0
    clean, noisy = (read_image(tmp_path / f"maps/{name}-dsm.png") for name in ("clean", "noise"))
    assert torch.equal(clean[:, :, -70:], noisy[:, :, -70:])  # the bar and its labels
    half = clean.shape[2] // 2
    assert noisy[:, 20:380, half:-90].float().mean() > 2 * clean[:, 20:380, half:-90].float().mean()


def test_the_table_is_sorted_and_plain(photos, expected, capsys):
    assert run_main("score", photos) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split() == ["score", "image"]
    assert [float(line.split()[0]) for line in lines[1:4]] == pytest.approx(sorted(expected.values()), abs=2e-3)
    assert any(r"-dash\nline.png" in line for line in lines)
    assert "\x1b" not in out


def test_a_folder_of_exported_weights(photos, expected, tmp_path, capsys):
    for kind in ("quality_model", "dsm_estimator"):
        shutil.copy(FOLDER / f"{kind}-small.safetensors", tmp_path / f"{kind}-mine.safetensors")
    for number, given in enumerate((tmp_path, tmp_path / "quality_model-mine.safetensors")):
        maps = tmp_path / f"maps{number}"
        assert run_main("score", photos, "--weights", given, "--json", "--maps", maps) == 0
        scores = {entry["image"]: entry["score"] for entry in json.loads(capsys.readouterr().out)["scores"]}
        assert scores == pytest.approx(expected, abs=2e-3)
        assert len(read_files(maps)) == 3


def test_weights_that_are_not_there(photos, tmp_path, capsys):
    shutil.copy(FOLDER / "quality_model-small.safetensors", tmp_path / "quality_model-a.safetensors")
    assert run_main("score", photos, "--weights", tmp_path, "--maps", tmp_path / "maps") == 2
    assert "there is no dsm_estimator-NAME.safetensors next to" in capsys.readouterr().err
    shutil.copy(FOLDER / "quality_model-small.safetensors", tmp_path / "quality_model-b.safetensors")
    assert run_main("score", photos, "--weights", tmp_path) == 2
    assert "quality_model-a.safetensors, quality_model-b.safetensors" in capsys.readouterr().err


def test_photos_that_all_fail(tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no photo")
    assert run_main("score", tmp_path / "broken.png", "--csv") == 1
    assert capsys.readouterr().out == "image,score\n"


def test_the_working_side(tmp_path, capsys):
    save_photo(tmp_path / "photo.png", 0, 640, 560)
    scores = {}
    for side in ("512", "original"):
        assert run_main("score", tmp_path / "photo.png", "--working-side", side, "--json") == 0
        scores[side] = json.loads(capsys.readouterr().out)["scores"][0]["score"]
    model = QualityModel.from_pretrained("small")
    shrunk, original = model.score([tmp_path / "photo.png"]), model(read_image(tmp_path / "photo.png")[None] / 255)
    assert scores == pytest.approx({"512": shrunk.item(), "original": original.item()}, abs=2e-3)
    assert scores["512"] != scores["original"]


def test_the_default_is_that_of_the_model():
    assert score.WORKING_SIDE == quality_model.WORKING_SIDE


@pytest.mark.parametrize("side", ["0", "-3", "large", "1.5"])
def test_bad_working_sides(side, capsys):
    with pytest.raises(SystemExit) as stop:
        run_main("score", "photo.png", "--working-side", side)
    assert stop.value.code == 2
    assert "--working-side" in capsys.readouterr().err


@pytest.mark.slow
def test_scoring_imports_little(photos):
    code = f"""
import sys
import torch
heavy = {{"torchvision", "timm", "torch._dynamo", "scipy", "skimage", "pandas", "sklearn"}}
if torch.__version__ >= (2, 7):  # before, a network on the meta device took it
    heavy.add("sympy")
from dsmix_aug.cli.main import main
assert main(["score", {str(photos)!r}]) == 0
loaded = [name for name in heavy if name in sys.modules]
assert not loaded, loaded
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
