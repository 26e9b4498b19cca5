"""Distortions that nobody scored, with an estimate of their opinion, as images of a batch and as a dataset."""

import csv
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from dsmix_aug.nriqa.datasets.estimated_opinions import (
    CURVES,
    HAARPSI_KNOTS,
    NAMES,
    NOTHING,
    SOURCES,
    EstimatedDistortions,
    draw_nothing,
    estimate_opinions,
)
from dsmix_aug.nriqa.datasets.estimated_photos import make_estimated_photos
from dsmix_aug.nriqa.datasets.haarpsi import haarpsi
from dsmix_aug.nriqa.datasets.photo_folder import load_photo_folder
from dsmix_aug.nriqa.datasets.photos import read_photo


def crops(count, side=64):
    """Crops of a photo, side by side."""
    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)
    return torch.stack([photo[:, 100 : 100 + side, 2 * left : 2 * left + side] for left in range(count)])


@pytest.fixture(scope="module")
def made():
    references = crops(150)
    return references, EstimatedDistortions()(references, torch.Generator().manual_seed(0))


def test_opinions_are_read_off_the_curve_of_the_kin(made):
    references, (images, opinions, names) = made
    assert set(names) == set(NAMES)
    for value, opinion, name in zip(haarpsi(images, references), opinions, names, strict=True):
        kin = "any" if name == NOTHING else SOURCES[name].kin
        expected = 1.0 if name == NOTHING else np.interp(value, HAARPSI_KNOTS, CURVES[kin])
        assert opinion.item() == pytest.approx(expected, abs=1e-5)


def test_curves_rise_from_bad_to_the_opinion_of_pristine_photos():
    for kin, curve in CURVES.items():
        assert len(curve) == len(HAARPSI_KNOTS)
        assert (np.diff(curve) >= 0).all()
        ends = estimate_opinions(torch.tensor([0.0, 1.0]), kin)
        assert 1 <= ends[0] < 1.2
        assert ends[1] == pytest.approx(4.6, abs=0.05)  # KADID-10k's identity levels


def test_some_images_stay_pristine_and_are_scored_so(made):
    references, (images, opinions, names) = made
    same = (images == references).flatten(1).all(1)
    assert same.any()
    assert (opinions[same] > 4.59).all()
    assert not any(name == NOTHING and equal for name, equal in zip(names, same, strict=True))


def test_draws_follow_the_generator(made):
    references, first = made
    again = EstimatedDistortions()(references, torch.Generator().manual_seed(0))
    assert torch.equal(first.images, again.images)
    assert first.names == again.names
    assert not torch.equal(first.images, EstimatedDistortions()(references, torch.Generator().manual_seed(1)).images)


def test_pictures_of_nothing_differ_and_have_the_size_asked_for():
    generator = torch.Generator().manual_seed(0)
    pictures = [draw_nothing(40, 56, generator) for _ in range(60)]
    assert all(picture.shape == (3, 40, 56) and picture.dtype == torch.uint8 for picture in pictures)
    constant = [picture.flatten(1).float().std(1).max() == 0 for picture in pictures]
    assert any(constant)
    assert not all(constant)
    assert len({picture.numpy().tobytes() for picture in pictures}) > 50


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten photos, one of them held out."""
    folder = tmp_path_factory.mktemp("photos")
    for number, crop in enumerate(crops(10)):
        Image.fromarray(crop.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    return load_photo_folder(folder, min_side=32)


def test_dataset_is_split_by_photo_and_made_once(photos, tmp_path):
    made = make_estimated_photos(photos, tmp_path, photo_side=64, count=40, seed=3)
    assert len(made.images) == 40
    assert made.split.count("test") == 4
    assert "estimated" in made.target
    assert all(group.startswith(f"references/{side}") for group, side in zip(made.groups, made.split, strict=True))
    assert len(set(made.groups)) == 10
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert make_estimated_photos(photos, tmp_path, photo_side=64, count=40, seed=3).fingerprint == made.fingerprint
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_scores_of_the_dataset_are_those_of_its_files(photos, tmp_path):
    make_estimated_photos(photos, tmp_path, photo_side=64, count=30, seed=0, held_out=12)
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["split"] == "test" for row in rows) == 12
    sides = {"train": photos.training, "test": photos.held_out}
    for row in rows:
        if row["distortion"] == NOTHING:
            assert float(row["score"]) == 1
            continue
        side, number = Path(row["reference"]).stem.split("_")
        reference = read_photo(sides[side][int(number)])
        value = haarpsi(read_photo(tmp_path / row["image"])[None], reference[None])
        expected = estimate_opinions(value, SOURCES[row["distortion"]].kin).item()
        assert float(row["score"]) == pytest.approx(expected, abs=1e-3)
