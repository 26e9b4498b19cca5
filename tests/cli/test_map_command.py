"""``dsmix-aug map``."""

import numpy as np
import pytest
import torch
from cli_helpers import read_files, read_image, run_main, save_photo
from PIL import Image

from dsmix_aug import DSMEstimator
from dsmix_aug.cli._heat_map import BAR_WIDTH, GAP, MARGIN, color_values


@pytest.fixture
def pair(tmp_path):
    """Return a photo, and a copy whose first patch of 16 px is inverted."""
    save_photo(tmp_path / "reference.png", 0, 100, 72)
    pixels = read_image(tmp_path / "reference.png").permute(1, 2, 0).numpy()
    pixels[:16, :16] = 255 - pixels[:16, :16]
    Image.fromarray(pixels).save(tmp_path / "distorted.png")
    return tmp_path / "distorted.png", tmp_path / "reference.png"


def test_the_array_is_the_mean_error_of_each_patch(pair, tmp_path, capsys):
    assert run_main("map", *pair, "-o", tmp_path / "out") == 0
    found = np.load(tmp_path / "out/distorted-dsm.npy")
    errors = (read_image(pair[0]).double() - read_image(pair[1]).double()).abs().div(255).mean(0).numpy()
    expected = np.array([[errors[y : y + 16, x : x + 16].mean() for x in range(0, 100, 16)] for y in range(0, 72, 16)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"measured DSM: mean {expected.mean():.4f}, maximum {expected.max():.4f}"
    assert lines[1] == "5 x 7 patches of 16 px; heat map from 0 to 0.2"
    assert lines[2:] == [str(tmp_path / "out/distorted-dsm.npy"), str(tmp_path / "out/distorted-dsm.png")]


def test_the_heat_map_has_the_scale_that_is_stated(pair, tmp_path):
    assert run_main("map", *pair, "-o", tmp_path, "--top", "0.05", "--patch-size", "8") == 0
    picture, photo = read_image(tmp_path / "distorted-dsm.png"), read_image(pair[0])
    assert torch.equal(picture[:, MARGIN : MARGIN + 72, :100], photo)
    heat = picture[:, MARGIN : MARGIN + 72, 100 + GAP : 200 + GAP].permute(1, 2, 0).numpy()
    values = np.load(tmp_path / "distorted-dsm.npy").repeat(8, 0).repeat(8, 1)[:72, :100]
    bar = picture[:, MARGIN:-MARGIN, 200 + 2 * GAP : 200 + 2 * GAP + BAR_WIDTH].permute(1, 2, 0).numpy()
    assert (heat[values == 0] == bar[-1, 0]).all()
    assert (heat[values >= 0.05] == bar[0, 0]).all()
    assert (values >= 0.05).any()
    brightness = bar[:, 0].astype(float).sum(1)
    assert (np.diff(brightness) <= 0).all()


def test_colours_rise_in_brightness():
    colors = color_values(np.linspace(-0.1, 1.1, 50, dtype=np.float32)[:, None])[:, 0].astype(float)
    assert (np.diff(colors.sum(1)) >= 0).all()
    assert colors[0].sum() < 20
    assert colors[-1].sum() > 550


def test_a_predicted_map_is_the_estimators(tmp_path, capsys):
    save_photo(tmp_path / "cat.png", 0, 500, 400)
    assert run_main("map", tmp_path / "cat.png", "-o", tmp_path / "out") == 0
    found = np.load(tmp_path / "out/cat-dsm.npy")
    assert found.shape == (24, 30)  # 384x480 px in patches of 16
    assert "predicted DSM: mean" in capsys.readouterr().out
    save_photo(tmp_path / "small.png", 0, 100, 80)
    assert run_main("map", tmp_path / "small.png", "-o", tmp_path / "out") == 0
    with torch.no_grad():
        expected = DSMEstimator.from_pretrained("small")(read_image(tmp_path / "small.png")[None] / 255)[0]
    np.testing.assert_allclose(np.load(tmp_path / "out/small-dsm.npy"), expected.numpy(), atol=1e-5)


def test_photos_of_two_sizes_are_refused(tmp_path, capsys):
    save_photo(tmp_path / "a.png", 0, 100, 80)
    save_photo(tmp_path / "b.png", 0, 100, 81)
    assert run_main("map", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out") == 2
    assert "REFERENCE: should have the size of DISTORTED, 100x80 px, got 100x81 px" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_map_is_not_overwritten_unless_forced(pair, tmp_path, capsys):
    assert run_main("map", *pair, "-o", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    before = read_files(tmp_path / "out")
    assert run_main("map", *pair, "-o", tmp_path / "out", "--patch-size", "4") == 2
    assert read_files(tmp_path / "out") == before
    assert run_main("map", *pair, "-o", tmp_path / "out", "--patch-size", "4", "--force") == 0
    assert read_files(tmp_path / "out") != before
