"""Correlations and the logistic fit, against SciPy and by their definitions."""

import numpy as np
import pytest
from scipy import optimize, stats

from dsmix_aug.nriqa.stages.metrics import fit_logistic, score


def logistic(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4)))


def noisy_pair(seed, size=120, noise=0.3):
    rng = np.random.default_rng(seed)
    predictions = rng.normal(size=size)
    return 40 + 7 * predictions, np.tanh(predictions) + noise * rng.normal(size=size)


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlations_are_scipys(seed):
    predictions, targets = noisy_pair(seed)
    predictions[:10] = predictions[10:20]  # ties
    scores = score(predictions, targets)
    assert scores.srcc == pytest.approx(stats.spearmanr(predictions, targets).statistic)
    assert scores.krcc == pytest.approx(stats.kendalltau(predictions, targets, variant="b").statistic)


def test_ties_share_their_mean_rank():
    """Ranks 1.5, 1.5, 3, 4 and 1, 2.5, 2.5, 4: their covariance is 3.75, their variances are 4.5."""
    assert score([1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 4.0]).srcc == pytest.approx(3.75 / 4.5)


@pytest.mark.parametrize("seed", range(4))
def test_plcc_and_rmse_are_those_after_the_fit_of_scipys_curve_fit(seed):
    predictions, targets = noisy_pair(seed)
    start = [targets.max(), targets.min(), predictions.mean(), predictions.std()]
    found, _ = optimize.curve_fit(logistic, predictions, targets, start, maxfev=10_000)
    mapped = logistic(predictions, *found)
    scores = score(predictions, targets)
    assert scores.plcc == pytest.approx(stats.pearsonr(mapped, targets).statistic, abs=1e-4)
    assert scores.rmse == pytest.approx(np.sqrt(np.mean((mapped - targets) ** 2)), rel=1e-4)
    assert scores.plcc_linear == pytest.approx(np.corrcoef(predictions, targets)[0, 1])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("width", [0.05, 1.0, 3.0])
def test_logistic_is_recovered(sign, width):
    predictions = np.linspace(-2, 3, 80)
    targets = 5 + sign * logistic(predictions, 90.0, 10.0, 0.4, width)
    np.testing.assert_allclose(fit_logistic(predictions, targets), targets, atol=0.05)
    assert score(predictions, targets).plcc == pytest.approx(1, abs=1e-5)


def test_a_straight_line_is_a_limit_that_is_reached():
    predictions = np.linspace(0, 1, 50)
    assert score(predictions, 3 * predictions + 1).plcc == pytest.approx(1, abs=1e-4)


def test_scores_of_a_perfect_and_of_an_inverted_prediction():
    targets = np.arange(20.0)
    assert score(targets, targets)[:4] == pytest.approx((1, 1, 1, 1), abs=1e-3)
    inverted = score(-targets, targets)
    assert (inverted.srcc, inverted.krcc) == (-1, -1)
    assert inverted.plcc == pytest.approx(1, abs=1e-3)  # the logistic may fall


@pytest.mark.parametrize("constant", ["predictions", "targets"])
def test_constant_values_have_no_correlation(constant):
    values = np.arange(6.0)
    pair = (np.full(6, 0.3), values) if constant == "predictions" else (values, np.full(6, 0.3))
    scores = score(*pair)
    assert np.isnan(scores[:3]).all()
    assert scores.rmse == pytest.approx(pair[1].std())


@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], r"of one length, at least 2, got \(2,\) and \(3,\)"),
        ([1.0], [1.0], "of one length, at least 2"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "of one length, at least 2"),
        ([1.0, np.nan], [1.0, 2.0], "should be finite"),
        ([1.0, 2.0], [np.inf, 2.0], "should be finite"),
    ],
)
def test_bad_input(predictions, targets, message):
    with pytest.raises(ValueError, match=message):
        score(predictions, targets)
