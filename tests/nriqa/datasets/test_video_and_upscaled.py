"""The recipe that makes frames of compressed video and upscaled photos, against OpenCV and scikit-image."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dsmix_aug.nriqa.datasets.csv_scores import load_csv

RECIPE = runpy.run_path(str(Path(__file__).parents[3] / "docs/recipes/video_and_upscaled.py"))
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


def test_the_script_makes_a_scored_dataset(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()[:200, :200]).save(tmp_path / f"photos/{name}.png")
    main = RECIPE["main"]
    methods = tuple(method for method in RECIPE["METHODS"] if method != "waifu2x")  # it needs libraries of the system
    monkeypatch.setitem(main.__globals__, "METHODS", methods)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["video_and_upscaled.py", str(tmp_path / "photos"), str(out)])
    main()
    table = pd.read_csv(out / "scores.csv")
    assert len(table) == 4
    assert table["reference"].tolist() == ["astronaut.png"] * 2 + ["coffee.png"] * 2
    assert table["opinion"].between(1, 4.6).all()
    scored = load_csv(out / "scores.csv", "made")
    assert len(scored.images) == 4
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
    monkeypatch.setattr(sys, "argv", ["video_and_upscaled.py", str(tmp_path / "photos"), str(out)])
    main()
    table = pd.read_csv(out / "scores.csv")
    assert table["image"].nunique() == len(list((out / "images").iterdir())) == 4
    assert table["reference"].tolist() == ["a/photo.png"] * 2 + ["b/photo.png"] * 2
