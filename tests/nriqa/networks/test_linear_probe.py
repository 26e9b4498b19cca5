"""The probe against scikit-learn's Ridge, and its files."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dsmix_aug.nriqa.base.files import save_tensors
from dsmix_aug.nriqa.networks.linear_probe import ALPHAS, KIND, LinearProbe, fit_probe


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"photo {number}" for number in range(10)], 6)
    features = rng.normal(5, 3, size=(60, 90)) + rng.normal(size=(10, 90)).repeat(6, 0)
    features[:, 7] = 2.5  # a constant feature
    scores = features[:, :5].sum(1) + rng.normal(scale=8, size=60)
    return features.astype(np.float32), scores, groups


def test_equals_scikit_learns_ridge_at_the_strength_it_chose(data):
    features, scores, groups = data
    probe = fit_probe(features, [1] * 90, scores, groups)
    new = np.random.default_rng(1).normal(5, 3, size=(20, 90))
    low, high = np.percentile(features, [5, 95], axis=0)
    clip = FunctionTransformer(lambda given: given.clip(low, high))
    ridges = [make_pipeline(clip, StandardScaler(), Ridge(90 * alpha)).fit(features, scores) for alpha in ALPHAS]
    distances = [np.abs(ridge.predict(new) - probe.predict(new)).max() for ridge in ridges]
    assert min(distances) < 1e-3 * scores.std()
    assert sorted(distances)[1] > 1e-2 * scores.std()  # the strengths can be told apart
    folds = list(GroupKFold(5).split(features, groups=groups))
    losses = [-cross_val_score(ridge, features, scores, cv=folds, scoring="neg_mean_squared_error") for ridge in ridges]
    assert np.argmin(distances) == np.argmin([loss.mean() for loss in losses])


def test_does_not_extrapolate(data):
    """Features far outside of what the probe was fitted to count as lying at the edge of it."""
    features, scores, groups = data
    probe = fit_probe(features, [1] * 90, scores, groups)
    low, high = np.percentile(features, [5, 95], axis=0)
    is_high = np.random.default_rng(2).random((20, 90)) < 0.5
    far = np.where(is_high, 1e9, -1e9)
    np.testing.assert_allclose(probe.predict(far), probe.predict(np.where(is_high, high, low)))


def test_strength_is_chosen_across_contents():
    """Features that tell contents apart and nothing else: only folds by content see that they are useless."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 4)
    features = rng.normal(size=(100, 100))[groups] + 0.01 * rng.normal(size=(400, 100))
    scores = rng.normal(size=100)[groups]
    by_content, by_image = (
        fit_probe(features, [100], scores, folds).coefficients for folds in (groups, np.arange(400))
    )
    assert np.linalg.norm(by_content) < np.linalg.norm(by_image) / 30


def test_a_single_content_is_parted_by_image(data):
    features, scores, _ = data
    assert np.corrcoef(fit_probe(features, [90], scores, np.full(60, "one")).predict(features), scores)[0, 1] > 0.7


def test_round_trip(data, tmp_path):
    features, scores, groups = data
    probe = fit_probe(features, [40, 50], scores, groups)
    path = tmp_path / "probe.safetensors"
    probe.save(path, {"row": "dsmix", "dataset": "toy"})
    loaded, description = LinearProbe.load(path)
    assert description == {"row": "dsmix", "dataset": "toy"}
    assert np.array_equal(loaded.predict(data[0]), probe.predict(data[0]))
    assert list(tmp_path.iterdir()) == [path]


def test_a_probe_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "probe.safetensors"
    save_tensors(path, KIND, {"intercept": 0.5}, {name: torch.zeros(3) for name in ("mean", "scale", "coefficients")})
    with pytest.raises(ValueError, match="should hold low, high, mean, scale, coefficients, got coefficients, mean"):
        LinearProbe.load(path)
