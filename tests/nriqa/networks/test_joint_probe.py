"""One probe for several datasets, against scikit-learn's Ridge with sample weights."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dsmix_aug.nriqa.networks import joint_probe
from dsmix_aug.nriqa.networks.joint_probe import TrainingSet, fit_joint_probe, put_on_scale
from dsmix_aug.nriqa.networks.probe import ALPHAS

WIDTH = 20


def make_set(seed: int, slope: np.ndarray, low: float, high: float, noise: float = 0.3) -> TrainingSet:
    """40 contents of two images each; scores from ``low`` to ``high``."""
    rng = np.random.default_rng(seed)
    features = rng.normal(3, 2, size=(80, WIDTH))
    raw = features @ slope + noise * rng.normal(size=80)
    scores = low + (high - low) * (raw - raw.min()) / np.ptp(raw)
    return TrainingSet(features, scores, np.repeat([f"photo {number}" for number in range(40)], 2))


@pytest.fixture(scope="module")
def sets() -> list[TrainingSet]:
    first, second = np.eye(2, WIDTH)
    return [make_set(0, first + 0.5 * second, 0, 1), make_set(1, second, 1, 5)]


def test_scores_meet_the_scale_of_the_first():
    given, first = np.linspace(1, 5, 101), np.linspace(0, 100, 101)
    np.testing.assert_allclose(put_on_scale(given, first), np.linspace(0, 100, 101), atol=1e-9)
    outlier = np.append(given[:-1], 1e6)
    np.testing.assert_allclose(put_on_scale(outlier, first)[:-1], np.linspace(0, 100, 101)[:-1], atol=1e-9)


def test_equals_scikit_learns_weighted_ridge_at_the_strength_it_chose(sets):
    probe, weights = fit_joint_probe(sets, [1] * WIDTH, [1, 0.25])
    assert weights == (1, 0.25)
    features = np.concatenate([given.features for given in sets])
    scores = np.concatenate([sets[0].scores, put_on_scale(sets[1].scores, sets[0].scores)])
    sample_weight = np.repeat([1, 0.25], 80)
    low, high = np.percentile(features, [5, 95], axis=0)
    new = np.random.default_rng(9).normal(3, 2, size=(30, WIDTH))
    distances = []
    for alpha in ALPHAS:
        ridge = make_pipeline(FunctionTransformer(lambda x: x.clip(low, high)), StandardScaler(), Ridge(WIDTH * alpha))
        ridge.fit(features, scores, standardscaler__sample_weight=sample_weight, ridge__sample_weight=sample_weight)
        distances.append(np.abs(ridge.predict(new) - probe.predict(new)).max())
    assert min(distances) < 1e-6
    assert sorted(distances)[1] > 1e-6


def test_the_weight_is_chosen_that_serves_all_datasets_best(sets, monkeypatch):
    monkeypatch.setattr(joint_probe, "WEIGHTS", (1e-4, 1.0, 1e4))
    probe, weights = fit_joint_probe(sets, [1] * WIDTH, [None, None])
    assert weights == (1, 1)
    for given in sets:
        assert stats.spearmanr(probe.predict(given.features), given.scores).statistic > 0.7
    assert fit_joint_probe(sets, [1] * WIDTH, [None, 0.5])[1] == (1, 0.5)


def test_datasets_on_one_scale_are_mapped_alike(sets):
    upper = TrainingSet(sets[1].features, 3 + sets[1].scores / 4, sets[1].contents)
    probe, _ = fit_joint_probe([*sets, upper], [1] * WIDTH, [1, 1, 1], scales=[0, 1, 1])
    low, high = np.quantile(sets[1].scores, [0.01, 0.99])
    own_low, own_high = np.quantile(sets[0].scores, [0.01, 0.99])
    by_hand = [own_low + (given.scores - low) * (own_high - own_low) / (high - low) for given in (sets[1], upper)]
    expected = joint_probe._fit(
        [sets[0], *(TrainingSet(sets[1].features, scores, sets[1].contents) for scores in by_hand)],
        [1] * WIDTH,
        [1, 1, 1],
    )
    np.testing.assert_allclose(probe.predict(upper.features), expected.predict(upper.features), atol=1e-12)
    own, _ = fit_joint_probe([*sets, upper], [1] * WIDTH, [1, 1, 1])
    assert np.abs(own.predict(upper.features) - probe.predict(upper.features)).max() > 0.01


def test_datasets_on_the_scale_of_the_first_stay_as_they_are():
    given, first = np.linspace(0.2, 0.4, 11), np.linspace(0, 1, 11)
    np.testing.assert_allclose(put_on_scale(given, first, first), given, atol=1e-15)


@pytest.mark.parametrize("weight", [-0.1, 0, np.nan, np.inf])
def test_weights_are_above_zero(sets, weight):
    with pytest.raises(ValueError, match=f"the weight of a dataset should be above 0, got {weight}"):
        fit_joint_probe(sets, [1] * WIDTH, [1, weight])


def test_one_weight_per_dataset(sets):
    with pytest.raises(ValueError, match="weights should be one per dataset: expected 2, got 3"):
        fit_joint_probe(sets, [1] * WIDTH, [1, 1, 1])
    with pytest.raises(ValueError, match="a joint probe should have at least 2 datasets, got 1"):
        fit_joint_probe(sets[:1], [1] * WIDTH, [1])


def test_equal_scores_have_no_scale(sets):
    flat = TrainingSet(sets[1].features, np.full(80, 2.5), sets[1].contents)
    with pytest.raises(ValueError, match=r"scores should differ from one another .* got 2\.5 for all"):
        fit_joint_probe([sets[0], flat], [1] * WIDTH, [1, 1])


def test_an_image_of_a_known_reference_counts_with_its_score_and_with_the_difference(sets):
    references = np.random.default_rng(5).normal(3, 2, size=(80, WIDTH))
    references[::4] = np.nan
    known = np.flatnonzero(~np.isnan(references[:, 0]))
    first, second = sets[0], replace(sets[1], reference_features=references)
    probe, _ = fit_joint_probe([first, second], [1] * WIDTH, [1, 0.25])
    features = np.concatenate([first.features, second.features])
    second_scores = put_on_scale(second.scores, first.scores)
    low, high = np.percentile(features, [5, 95], axis=0)
    scaler = StandardScaler().fit(features.clip(low, high), sample_weight=np.repeat([1, 0.25], 80))
    standardized, of_references = (scaler.transform(given.clip(low, high)) for given in (features, references[known]))
    scores = np.concatenate([first.scores, second_scores])
    intercept = np.average(scores, weights=np.repeat([1, 0.25], 80))
    rows = np.concatenate([standardized, standardized[80 + known] - of_references])
    targets = np.concatenate([scores - intercept, second_scores[known] - second_scores.max()])
    distances = []
    for alpha in ALPHAS:
        ridge = Ridge(WIDTH * alpha, fit_intercept=False)
        ridge.fit(rows, targets, sample_weight=np.repeat([1, 0.25], [80, 80 + len(known)]))
        distances.append(np.abs(ridge.predict(standardized) + intercept - probe.predict(features)).max())
    assert min(distances) < 1e-6
    assert sorted(distances)[1] > 1e-6
