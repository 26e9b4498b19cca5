"""Images that the bank makes of pristine photos, scored by the opinion of their class."""

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.datasets.opinion_photos import check_counts, make_opinion_photos
from dsmix_aug.nriqa.datasets.photo_folder import load_photo_folder
from dsmix_aug.nriqa.datasets.photos import PhotoSet, read_photo


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> PhotoSet:
    """Ten photos, one of them held out, one of the others grey."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (56, 60 + number, 3), dtype=np.uint8)
        if number == 3:
            pixels[:] = pixels[..., :1]
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return load_photo_folder(folder, min_side=32)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    return make_opinion_photos(photos, tmp_path_factory.mktemp("opinions"), photo_side=384, count=260, seed=3)


def rows(scored):
    with (scored.images[0].parent / "scores.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_scores_are_the_opinions_of_the_classes(made):
    bank = DistortionBank()
    table = rows(made)
    for path, score in zip(made.images, made.scores, strict=True):
        label = bank.class_names.index(table[path.name]["distortion"])
        assert score == pytest.approx(bank.opinion_scores[label].item(), abs=1e-4)


def test_sides_of_the_split_are_those_of_the_photos(made, photos):
    sides = {"train": photos.training, "test": photos.held_out}
    assert Counter(made.split)["test"] == 26  # one photo of ten
    for path, side, group, reference in zip(made.images, made.split, made.groups, made.references, strict=True):
        photo = read_photo(sides[side][int(Path(group).stem.split("_")[1])])
        assert read_photo(path).shape == photo.shape
        assert (read_photo(reference) == photo).all()
        if path.stem.endswith("pristine"):
            assert (read_photo(path) == photo).all()
    assert len(set(made.groups)) == 10


def test_classes_come_equally_often(made):
    counts = Counter(row["distortion"] for row in rows(made).values() if row["split"] == "train")
    assert len(counts) == 122
    assert max(counts.values()) == 2


def test_what_did_not_change_is_left_out(made, photos):
    """A colour distortion of a grey photo."""
    grey = next(number for number, path in enumerate(photos.training) if path.stem == "3")
    for name, row in rows(made).items():
        if row["reference"] == f"train_{grey:05d}" and row["distortion"] != "pristine":
            image = read_photo(made.images[0].parent / name)
            assert (image != read_photo(photos.training[grey])).any()


def test_images_are_made_once_and_come_out_alike(made, photos, tmp_path):
    again = make_opinion_photos(photos, tmp_path, photo_side=384, count=260, seed=3)
    assert again.fingerprint == made.fingerprint
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert make_opinion_photos(photos, tmp_path, photo_side=384, count=260, seed=3).fingerprint == made.fingerprint
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    other = make_opinion_photos(photos, tmp_path / "other", photo_side=384, count=260, seed=4)
    assert other.fingerprint != made.fingerprint


def test_held_out_images_can_be_counted_apart(photos, tmp_path):
    count, held_out = check_counts("opinions", "20+130")
    made = make_opinion_photos(photos, tmp_path, 384, count, seed=0, held_out=held_out)
    assert Counter(made.split) == {"train": 20, "test": 130}


@pytest.mark.parametrize("text", ["1", "0", "-5", "many", "2.5", "", "20+", "+20", "20+0", "0+20", "2+3+4", "a+3"])
def test_count_is_a_number_of_images(text):
    with pytest.raises(ValueError, match=r"opinions should be a number of images, .* got '" + re.escape(text)):
        check_counts("opinions", text)
