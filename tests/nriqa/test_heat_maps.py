"""Heat maps: Matplotlib's colours without Matplotlib, and file names that any file system takes."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.heat_maps import color_map, draw_heat_map, heat_map_name


def test_colours_are_those_of_magma():
    values = torch.linspace(0, 0.5, 256).reshape(16, 16)
    picture = np.asarray(color_map(values, (16, 16), brightest=0.5), int)
    expected = np.uint8(np.round(255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3])).reshape(16, 16, 3)
    assert np.abs(picture - expected).max() <= 4  # one of 256 steps of the scale
    assert (picture[0, 0] == expected[0, 0]).all()
    assert (picture[-1, -1] == expected[-1, -1]).all()


def test_values_beyond_the_brightest_are_clipped():
    picture = np.asarray(color_map(torch.tensor([[0.5, 9.0]]), (2, 1), brightest=0.5))
    assert (picture[0, 0] == picture[0, 1]).all()


@pytest.mark.parametrize(
    "stem",
    ["x" * 251, "写" * 83, "a:..:b", "=1+1", "\x1b[2J", "bad\udcff", " ", ".", "$\\frac{$", "<b>"],
)
def test_any_photo_has_a_heat_map_name(tmp_path, stem):
    name = heat_map_name(7, Path(f"{stem}.png"))
    (tmp_path / f".tmp.12345.{name}").touch()  # as long as a temporary name
    assert len(name.encode()) <= 200
    assert name.startswith("0007_")
    assert name.endswith(".png")
    assert name.isprintable()
    assert Path(name).name == name


def test_photo_and_map_are_side_by_side(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    estimator = DSMEstimator(16, 16, 1, 2)
    mean = draw_heat_map(estimator, tmp_path / "photo.png", tmp_path / "maps" / "map.png")
    with torch.no_grad():
        expected = estimator(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255)[0]
    assert mean == pytest.approx(expected.mean().item(), rel=1e-5)
    with Image.open(tmp_path / "maps" / "map.png") as both:
        assert both.size == (128, 48)
        assert (np.asarray(both)[:, :64] == photo).all()


def test_nothing_that_a_terminal_obeys_is_printed():
    assert printable("a\x1b[31m\n\udcffb 写.png") == "a\\x1b[31m\\n\\udcffb 写.png"
