"""Comparing runs: means, and the paired bootstrap against one written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dsmix_aug.nriqa.base.files import write_json
from dsmix_aug.nriqa.report.comparison import average, compare, read_runs
from dsmix_aug.nriqa.runs.folder import FORMAT
from dsmix_aug.nriqa.runs.predictions import KEYS, Predictions
from dsmix_aug.nriqa.runs.presets import PRESETS

N = 60


def make_predictions(seeds=1, splits=(0,), noise=(0.5, 1.0), rng=None):
    rng = rng or np.random.default_rng(0)
    target = rng.normal(size=N)
    tables = []
    for seed in range(seeds):
        for split in splits:
            for row, spread in zip(("dsmix", "cutmix"), noise, strict=True):
                prediction = target + rng.normal(scale=spread, size=N)
                entry = {"row": row, "trained_on": "a", "tested_on": "a", "split": split, "seed": seed}
                images = [f"{number}.png" for number in range(N)]
                tables.append(
                    pd.DataFrame(
                        {**entry, "image": images, "content": images, "target": target, "prediction": prediction}
                    )
                )
    return pd.concat(tables, ignore_index=True)


def columns(predictions):
    both = predictions.pivot_table(index="image", columns="row", values=["prediction", "target"], sort=False)
    return both["prediction", "dsmix"], both["prediction", "cutmix"], both["target", "dsmix"]


def test_one_seed_is_the_bootstrap_over_images():
    predictions = make_predictions()
    (result,) = compare(predictions, [("dsmix", "cutmix")], replicates=4000, seed=1).to_dict("records")

    def difference(own, other, target):
        return stats.spearmanr(own, target).statistic - stats.spearmanr(other, target).statistic

    samples = tuple(column.to_numpy() for column in columns(predictions))
    rng = np.random.default_rng(2)
    replicates = []
    for _ in range(2000):
        chosen = rng.integers(N, size=N)
        replicates.append(difference(*(column[chosen] for column in samples)))
    low, high = np.percentile(replicates, [2.5, 97.5])
    assert result["srcc_difference"] == pytest.approx(difference(*samples))
    assert result["low"] == pytest.approx(low, abs=0.1 * (high - low))
    assert result["high"] == pytest.approx(high, abs=0.1 * (high - low))


def test_images_of_one_content_are_drawn_together():
    """Twelve copies of each photo tell no more than one does: the interval is that of single images."""
    predictions = make_predictions()
    copies = pd.concat([predictions.assign(image=f"{number}/" + predictions["image"]) for number in range(12)])
    one, many = (
        compare(table, [("dsmix", "cutmix")], replicates=400, seed=1).iloc[0] for table in (predictions, copies)
    )
    assert many["srcc_difference"] == pytest.approx(one["srcc_difference"], abs=1e-3)
    assert many["high"] - many["low"] == pytest.approx(one["high"] - one["low"], rel=0.05)


def test_seeds_are_drawn_too():
    """Seeds that disagree widen the interval beyond what images do."""
    rng = np.random.default_rng(0)
    steady = make_predictions(seeds=4, noise=(0.6, 0.6), rng=rng)
    unsteady = pd.concat([make_predictions(noise=noise, rng=rng).assign(seed=seed)
                          for seed, noise in enumerate([(0.1, 3.0), (3.0, 0.1), (0.1, 3.0), (3.0, 0.1)])])  # fmt: skip
    widths = []
    for predictions in (steady, unsteady):
        (result,) = compare(predictions, [("dsmix", "cutmix")], replicates=500, seed=0).to_dict("records")
        widths.append(result["high"] - result["low"])
    assert widths[1] > 3 * widths[0]


def test_a_row_does_not_differ_from_itself():
    predictions = make_predictions(seeds=2, splits=(0, 1))
    same = predictions[predictions["row"] == "dsmix"]
    twin = pd.concat([same, same.assign(row="cutmix")])
    (result,) = compare(twin, [("dsmix", "cutmix")], replicates=50, seed=0).to_dict("records")
    assert (result["srcc_difference"], result["low"], result["high"]) == (0, 0, 0)


def test_averages_are_means_over_seeds_of_medians_over_splits():
    predictions = make_predictions(seeds=3, splits=(0, 1, 2))
    table = average(predictions).set_index("row")
    own = predictions[predictions["row"] == "dsmix"]
    medians = [
        np.median(
            [stats.spearmanr(split["prediction"], split["target"]).statistic for _, split in run.groupby("split")]
        )
        for _, run in own.groupby("seed")
    ]
    assert table.loc["dsmix", "srcc"] == pytest.approx(np.mean(medians))
    assert table.loc["dsmix", "srcc_sd"] == pytest.approx(np.std(medians, ddof=1))
    assert table.loc["dsmix", "seeds"] == 3


def test_differences_are_those_of_the_table_of_averages():
    predictions = make_predictions(seeds=3, splits=(0, 1, 2, 3))
    table = average(predictions).set_index("row")["srcc"]
    (result,) = compare(predictions, [("dsmix", "cutmix")], replicates=5, seed=0).to_dict("records")
    assert result["srcc_difference"] == pytest.approx(table["dsmix"] - table["cutmix"])


def write_run(folder, predictions, **changes):
    config = replace(PRESETS["smoke"], **changes)
    (folder / "probe").mkdir(parents=True)
    write_json(folder / "config.json", {"format": FORMAT, "config": config.to_dict(), "data": {"photos": "hash"}})
    write_json(folder / "finished" / "probe.json", {"seconds": 1.0})
    Predictions(predictions).write(folder / "probe" / "predictions.csv")
    return folder


def test_runs_are_read_with_their_seeds(tmp_path):
    folders = [write_run(tmp_path / str(seed), make_predictions(), seed=seed) for seed in (3, 5)]
    assert set(read_runs(folders)["seed"]) == {3, 5}


def test_runs_of_one_seed_may_share_out_its_rows(tmp_path):
    whole = make_predictions()
    parts = [whole[whole["row"] == row] for row in ("dsmix", "cutmix")]
    folders = [
        write_run(tmp_path / str(number), part, seed=3, rows=(part["row"].iloc[0],))
        for number, part in enumerate(parts)
    ]
    columns = [*KEYS, "split", "image", "prediction", "seed"]
    found, expected = read_runs(folders), read_runs([write_run(tmp_path / "whole", whole, seed=3)])
    order = [*KEYS, "split", "image"]
    pd.testing.assert_frame_equal(
        *(table[columns].sort_values(order, ignore_index=True) for table in (found, expected))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, "b has row 'dsmix' with seed 3, as another of the runs"),
        ({"seed": 4, "patch_size": 8}, "config.patch_size: 16 before, 8 now"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path, changes, message):
    folders = [write_run(tmp_path / "a", make_predictions(), seed=3)]
    folders.append(write_run(tmp_path / "b", make_predictions(), **changes))
    with pytest.raises(ValueError, match=message):
        read_runs(folders)


def test_unfinished_runs_unknown_rows_and_foreign_seeds_are_errors(tmp_path):
    folder = write_run(tmp_path / "a", make_predictions())
    (folder / "finished" / "probe.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no predictions.csv: run the stage 'probe' first"):
        read_runs([folder])
    with pytest.raises(ValueError, match="pairs: the runs have no row 'mixup'; they have cutmix, dsmix"):
        compare(make_predictions(), [("mixup", "cutmix")], 10, 0)
    predictions = make_predictions(seeds=2)
    apart = predictions[(predictions["row"] == "dsmix") == (predictions["seed"] == 0)]
    with pytest.raises(ValueError, match="rows 'dsmix' and 'cutmix' have no seed in common"):
        compare(apart, [("dsmix", "cutmix")], 10, 0)
