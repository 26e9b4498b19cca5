"""A run with a scored dataset and opinions, each probed by itself and both together."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image

from dsmix_aug.nriqa.networks.features import extract_features, join_features
from dsmix_aug.nriqa.networks.joint_probe import fit_joint_probe
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.report.page import _predictions
from dsmix_aug.nriqa.runs.config import Config, Machine
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages import run_evaluate, run_probe
from dsmix_aug.nriqa.stages.evaluate import caveat
from dsmix_aug.nriqa.stages.probe import row_features, training_sets

N = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A finished run of the teacher's features; the dataset's scores are how bright its images are, from 10 to 90."""
    folder = tmp_path_factory.mktemp("joint")
    photo = skimage.data.astronaut()[:96, :96]
    scores = np.linspace(10, 90, N)
    for number, score in enumerate(scores):
        Image.fromarray((photo * (score / 90)).astype(np.uint8)).save(folder / f"{number}.png")
    names = [f"{number}.png" for number in range(N)]
    pd.DataFrame({"image": names, "score": scores}).to_csv(folder / "toy.csv", index=False)
    config = replace(
        PRESETS["smoke"],
        rows=("teacher",),
        photo_side=64,
        data=(("toy", str(folder / "toy.csv")), ("opinions", "60")),
        joint=(("toy", 1.0), ("opinions", 0.3)),
    )
    run = Run(folder / "run", config, Machine())
    run_probe(run)
    run_evaluate(run)
    return run


def test_every_dataset_is_judged_alone_and_together(run):
    results = run.results
    pairs = set(zip(results["trained_on"], results["tested_on"], strict=True))
    sets = ("toy", "opinions")
    assert pairs == {(trained, tested) for trained in (*sets, "toy+opinions") for tested in sets}


def test_the_report_has_a_picture_of_each_dataset(run):
    page = _predictions(run)
    assert [name for name in ("toy", "opinions", "toy+opinions") if f"predicted against target, {name}" in page] == [
        "toy",
        "opinions",
    ]


def test_the_caveat_tells_what_the_scores_of_each_dataset_are(run):
    assert list(run.targets) == ["opinions", "toy"]
    assert "toy+opinions" not in caveat(run)


def test_another_seed_is_judged_on_the_same_images(run):
    other = Run(run.folder.parent / "seed1", replace(run.config, seed=1), Machine())
    assert other.scored_sets[1].fingerprint == run.scored_sets[1].fingerprint
    drawn_anew = Run(run.folder.parent / "drawn", replace(run.config, data_seed=1), Machine())
    assert drawn_anew.scored_sets[1].fingerprint != run.scored_sets[1].fingerprint


def test_no_content_is_on_both_sides(run):
    predictions = run.predictions.table
    together = predictions[predictions["trained_on"] == "toy+opinions"]
    alone = predictions[(predictions["trained_on"] == predictions["tested_on"])]
    for name in ("toy", "opinions"):
        first = together[(together["tested_on"] == name) & (together["split"] == 0)]["image"]
        assert set(first) == set(alone[(alone["tested_on"] == name) & (alone["split"] == 0)]["image"])
    assert together.groupby("tested_on")["split"].nunique().to_dict() == {"toy": 3, "opinions": 3}


def test_scores_are_on_the_scale_of_the_first(run):
    model = RunFolder(run.folder).quality_model("teacher", "toy+opinions")
    assert model.score_range == (10, 90)
    assert model.trained_on == "toy+opinions"
    opinions = run.scored_sets[1]
    scores = model.score(opinions.images)
    assert 0 < scores.min() < scores.max() < 100
    assert np.corrcoef(scores, opinions.scores)[0, 1] > 0.5


def test_features_of_references_are_those_of_their_files(run):
    opinions = run.scored_sets[1]
    features, _ = row_features(run, "teacher")
    of_toy, of_opinions = training_sets(run, "teacher", run.scored_sets, features)
    assert of_toy.reference_features is None
    references = of_opinions.reference_features
    networks = run.networks("teacher", run.device)
    for number in (0, 17, -1):
        alone = [extract_features(network, [opinions.references[number]], run.device) for network in networks]
        expected, _ = join_features(run.rows["teacher"], networks, alone)
        np.testing.assert_allclose(references[number], expected[0], rtol=1e-3, atol=1e-4)
    without = replace(opinions, references=(None, *opinions.references[1:]))
    (given,) = training_sets(run, "teacher", [without], features)
    assert np.isnan(given.reference_features).all(1).tolist() == [True] + [False] * (len(opinions.images) - 1)


def test_a_joint_probe_learns_from_the_references(run):
    saved, _ = Probe.load(run.probe_path("teacher", "toy+opinions"))
    features, widths = row_features(run, "teacher")
    sets = training_sets(run, "teacher", run.scored_sets, features)
    paired, _ = fit_joint_probe(sets, widths, [1.0, 0.3])
    np.testing.assert_allclose(saved.coefficients, paired.coefficients, rtol=1e-6, atol=1e-9)
    alone, _ = fit_joint_probe([replace(given, reference_features=None) for given in sets], widths, [1.0, 0.3])
    assert not np.allclose(saved.coefficients, alone.coefficients, rtol=0.1)


def test_each_family_is_tested_without_having_been_trained_on(run, monkeypatch):
    recipe = runpy.run_path(str(Path(__file__).parents[3] / "docs/recipes/held_out_families.py"))
    opinions = run.scored_sets[1]
    families = recipe["families_of"](opinions)
    trained = []
    fit = recipe["judge"].__globals__["fit_joint_probe"]

    def spy(sets, *others):
        trained.append(sets[1].features)
        return fit(sets, *others)

    monkeypatch.setitem(recipe["judge"].__globals__, "fit_joint_probe", spy)
    table = recipe["judge"](run, "teacher").set_index("family")
    is_test = np.array(opinions.split) == "test"
    for family in table.index:
        assert table.loc[family, "images"] == (families[is_test] == family).sum()
    own = row_features(run, "teacher")[0]["opinions"]
    judged = table.index[table["images"] > 1]
    assert len(trained) == 1 + len(judged) > 1
    for family, features in zip(judged, trained[1:], strict=True):
        np.testing.assert_array_equal(features, own[~is_test & (families != family)])
    assert table.loc[judged, ["left out", "seen"]].abs().le(1).all(axis=None)


def test_a_config_with_a_joint_probe_is_read_as_it_was_written(run):
    assert Config.from_dict(run.config.to_dict()) == run.config


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ((("toy", 1.0), ("live", 1.0)), "joint: 'live' is not among the datasets of the run: toy, opinions"),
        ((("toy", 1.0),), "joint should name at least 2 different datasets, got toy"),
        ((("toy", 1.0), ("toy", 1.0)), "joint should name at least 2 different datasets, got toy, toy"),
        ((("toy+toy", 1.0),), "joint should name at least 2 different datasets, got toy, toy"),
        ((("toy+", 1.0),), "joint: '' is not among the datasets of the run: toy, opinions"),
        ((("toy", 1.0), ("opinions", -0.1)), "joint: the weight of 'opinions' should be above 0, got -0.1"),
    ],
)
def test_bad_joint(run, joint, message):
    with pytest.raises(ValueError, match=message):
        replace(run.config, joint=joint)


def test_datasets_on_one_scale_are_joined_by_a_plus(run, tmp_path):
    assert replace(run.config, joint=(("toy+opinions", 0.5),)).joined == [("toy", 0.5, "toy"), ("opinions", 0.5, "toy")]
    config = replace(run.config, joint=(("toy+opinions", 0.5),), split_count=1)
    on_one = Run(tmp_path / "run", config, Machine())
    run_probe(on_one)
    scores = RunFolder(on_one.folder).quality_model("teacher", "toy+opinions").score(run.scored_sets[1].images)
    assert scores.max() < 10  # 1 to 5 stays what it is, beside 10 to 90
    assert Config.from_dict(config.to_dict()) == config


def test_a_probe_that_was_not_fitted_is_named(run):
    with pytest.raises(FileNotFoundError, match=r"dataset 'opinions\+toy'; it has: teacher-opinions, "):
        RunFolder(run.folder).quality_model("teacher", "opinions+toy")
