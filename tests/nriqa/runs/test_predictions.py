"""The table of predictions: images are told apart by their folder, and a file is read back as it was."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from dsmix_aug.nriqa.datasets import load_scored_set
from dsmix_aug.nriqa.report.comparison import compare
from dsmix_aug.nriqa.runs.predictions import ACROSS_DATASETS, Predictions
from dsmix_aug.nriqa.runs.rows import ROWS
from dsmix_aug.nriqa.stages.evaluate import summarize

FOLDERS = ("jp2k", "jpeg", "wn", "gblur", "fastfading")


@pytest.fixture
def scored(tmp_path):
    """60 images, of 12 names in each of 5 folders, as LIVE has them."""
    rows = []
    for number in range(60):
        image = f"{FOLDERS[number // 12]}/img{number % 12}.png"
        (tmp_path / image).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / image)
        rows.append({"image": image, "score": float(number % 7 + number / 60)})
    pd.DataFrame(rows).to_csv(tmp_path / "scores.csv", index=False)
    return load_scored_set("toy", tmp_path / "scores.csv")


def predict(scored, row, seed, noise):
    values = scored.scores + np.random.default_rng(seed).normal(scale=noise, size=len(scored.images))
    return Predictions.of(row, scored.name, scored, 0, np.arange(len(scored.images)), values)


def test_images_of_equal_name_in_folders_stay_apart(scored, tmp_path):
    """Kept by their last part, 12 names would pair 300 times, and the difference would be far too large."""
    both = Predictions.join([predict(scored, "dsmix", 0, 1.0), predict(scored, "cutmix", 1, 3.0)])
    both.write(tmp_path / "predictions.csv")
    table = Predictions.read(tmp_path / "predictions.csv").table
    assert table["image"].nunique() == 60
    assert set(table["image"]) == {f"{folder}/img{number}.png" for folder in FOLDERS for number in range(12)}
    (own, other) = (table[table["row"] == row] for row in ("dsmix", "cutmix"))
    expected = (
        stats.spearmanr(own["prediction"], scored.scores).statistic
        - stats.spearmanr(other["prediction"], scored.scores).statistic
    )
    (result,) = compare(table.assign(seed=0), [("dsmix", "cutmix")], 20, 0).to_dict("records")
    assert result["srcc_difference"] == pytest.approx(expected)
    summary = summarize(both, ROWS, {"toy": "score"})
    assert summary["images"].tolist() == [60, 60]


def test_an_image_twice_in_one_split_is_refused(scored):
    table = predict(scored, "dsmix", 0, 1.0).table
    table["image"] = [name.rpartition("/")[2] for name in table["image"]]  # as older versions wrote it
    with pytest.raises(ValueError, match=r"'img0.png' is there twice in one split; older versions"):
        Predictions(table)


@pytest.mark.parametrize("name", ["=1+1.png", "NA", "-a.png", "'a'.png", "with, comma.png"])
def test_any_name_is_read_back(scored, tmp_path, name):
    table = predict(scored, "dsmix", 0, 1.0).table
    table.loc[0, "image"] = name
    Predictions(table).write(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(Predictions.read(tmp_path / "predictions.csv").table, table)


def test_columns_that_lack_are_named(scored):
    table = predict(scored, "dsmix", 0, 1.0).table.drop(columns="target")
    with pytest.raises(ValueError, match=r"should have the columns row, .*, got no 'target'"):
        Predictions(table)


def test_split_of_another_dataset_is_marked(scored):
    values = np.zeros(3)
    table = Predictions.of("dsmix", "other", scored, ACROSS_DATASETS, np.array([1, 5, 7]), values).table
    assert table["split"].tolist() == [-1] * 3
    assert table["image"].tolist() == ["jp2k/img1.png", "jp2k/img5.png", "jp2k/img7.png"]
    assert table["target"].tolist() == scored.scores[[1, 5, 7]].tolist()
