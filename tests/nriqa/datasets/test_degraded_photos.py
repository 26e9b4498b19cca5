"""The recipe that makes frames of compressed video, upscaled and degraded photos, against other libraries."""

import io
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dsmix_aug.nriqa.datasets.csv_scores import load_csv

RECIPE = runpy.run_path(str(Path(__file__).parents[3] / "docs/recipes/degraded_photos.py"))
PHOTO = skimage.data.astronaut()[:240, 80:400]


@pytest.mark.parametrize("codec", RECIPE["CODECS"])
def test_frames_of_a_worse_quality_are_less_like_the_originals(codec):
    frames = RECIPE["film"](PHOTO, np.random.default_rng(0))
    best, worst = RECIPE["CODECS"][codec][1]
    likeness = []
    for quality in (best, (best + worst) // 2, worst):
        compressed = RECIPE["compress"](frames, codec, quality)
        assert [frame.shape for frame in compressed] == [frame.shape for frame in frames]
        likeness.append(structural_similarity(frames[7], compressed[7], channel_axis=2))
    assert likeness[0] > 0.9
    assert likeness[0] > likeness[1] + 0.01
    assert likeness[1] > likeness[2] + 0.01


def test_a_window_moves_over_the_photo():
    frames = RECIPE["film"](PHOTO, np.random.default_rng(1))
    assert {frame.shape for frame in frames} == {(192, 272, 3)}
    found = []
    for frame in frames:
        match = cv2.matchTemplate(PHOTO, frame, cv2.TM_CCOEFF_NORMED)
        assert match.max() > 0.97
        found.append(np.unravel_index(match.argmax(), match.shape))
    steps = np.diff(found, axis=0)
    assert np.abs(steps).sum() > 0
    assert np.ptp(steps, axis=0).max() <= 1  # a straight line at one speed, to whole pixels


@pytest.mark.parametrize("method", [*RECIPE["INTERPOLATIONS"], "unsharp", *RECIPE["BACK_PROJECTIONS"]])
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_a_photo_is_enlarged_in_its_place(method, factor):
    photo = PHOTO[:, :312].astype(np.float32)
    small = RECIPE["shrink"](photo, factor, 0.4)
    large = RECIPE["upscale"](small, factor, 0.4, method)
    assert large.shape == photo.shape
    likeness = {
        shift: peak_signal_noise_ratio(photo[16:-16, 16:-16], np.roll(large, shift, 1)[16:-16, 16:-16], data_range=255)
        for shift in (-1, 0, 1)
    }
    assert max(likeness, key=likeness.get) == 0


def test_back_projection_leaves_less_of_a_difference_to_the_small_photo():
    small = RECIPE["shrink"](PHOTO.astype(np.float32), 4, 0.4)
    errors = [
        np.abs(RECIPE["shrink"](RECIPE["upscale"](small, 4, 0.4, method), 4, 0.4) - small).mean()
        for method in ("bicubic", "back_projected_3", "back_projected_10")
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("name", RECIPE["STRENGTHS"])
def test_a_stronger_degradation_leaves_less_of_the_photo(name):
    light, strong = RECIPE["STRENGTHS"][name]
    rng = np.random.default_rng(0)
    likeness = [
        structural_similarity(PHOTO, RECIPE["degrade"](PHOTO, name, strength, rng), channel_axis=2)
        for strength in (light, (light * strong) ** 0.5, strong)
    ]
    assert likeness[0] > 0.9
    assert likeness[0] > likeness[1] + 0.05
    assert likeness[1] > likeness[2] + 0.05


@pytest.mark.parametrize("name", ["white_noise", "grey_noise"])
def test_noise_has_its_deviation(name):
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise = RECIPE["degrade"](grey, name, 20.0, np.random.default_rng(0)).astype(float) - 128
    assert noise.std() == pytest.approx(20, rel=0.02)
    assert abs(noise.mean()) < 0.5
    assert (np.corrcoef(noise.reshape(-1, 3).T)[0, 1] > 0.99) == (name == "grey_noise")


def test_blur_and_jpeg_are_those_of_scipy_and_pillow():
    rng = np.random.default_rng(0)
    expected = ndimage.gaussian_filter(PHOTO.astype(float), (2.5, 2.5, 0), mode="nearest", truncate=2)
    assert np.abs(RECIPE["degrade"](PHOTO, "gaussian_blur", 2.5, rng) - expected).max() < 1
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", quality=15)
    difference = RECIPE["degrade"](PHOTO, "jpeg", 15.2, rng) - np.asarray(Image.open(file)).astype(float)
    assert np.abs(difference).mean() < 1


def test_the_script_makes_a_scored_dataset(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()[:200, :200]).save(tmp_path / f"photos/{name}.png")
    main = RECIPE["main"]
    methods = tuple(method for method in RECIPE["METHODS"] if method != "waifu2x")  # it needs libraries of the system
    monkeypatch.setitem(main.__globals__, "METHODS", methods)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["degraded_photos.py", str(tmp_path / "photos"), str(out)])
    main()
    table = pd.read_csv(out / "scores.csv")
    assert len(table) == 6
    assert table["reference"].tolist() == ["references/astronaut.png"] * 3 + ["references/coffee.png"] * 3
    assert table["opinion"].between(1, 4.6).all()
    scored = load_csv(out / "scores.csv", "made")
    assert len(scored.images) == 6
    assert [path.read_bytes() for path in scored.references[::3]] == [
        (tmp_path / "photos" / f"{name}.png").read_bytes() for name in ("astronaut", "coffee")
    ]
    with pytest.raises(SystemExit):
        main()


def test_photos_of_one_name_in_two_folders_are_two_photos(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        Image.fromarray(PHOTO[:128, :128]).save(tmp_path / "photos" / folder / "photo.png")
    main = RECIPE["main"]
    monkeypatch.setitem(main.__globals__, "METHODS", ("bicubic",))
    monkeypatch.setitem(main.__globals__, "CODECS", {"mpeg4": ("matroska", (31, 31))})
    monkeypatch.setitem(main.__globals__, "FACTORS", (4,))  # the files of both would have one name
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["degraded_photos.py", str(tmp_path / "photos"), str(out)])
    main()
    table = pd.read_csv(out / "scores.csv")
    assert table["image"].nunique() == len(list((out / "images").iterdir())) == 6
    assert table["reference"].tolist() == ["references/a/photo.png"] * 3 + ["references/b/photo.png"] * 3


def test_a_photo_that_is_too_small_is_met_before_anything_is_written(tmp_path, monkeypatch, capsys):
    for name, side in (("a", 128), ("b", 95)):
        Image.fromarray(PHOTO[:side, :128]).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(sys, "argv", ["degraded_photos.py", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        RECIPE["main"]()
    assert "should be at least 96 px high and wide, " in (message := capsys.readouterr().err)
    assert "b.png is not" in message
    assert not (tmp_path / "out").exists()
