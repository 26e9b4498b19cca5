"""The probe against scikit-learn's Ridge, and its files."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dsmix_aug.nriqa.base.files import save_tensors
from dsmix_aug.nriqa.networks.hidden_layer import HiddenLayer, Pairs
from dsmix_aug.nriqa.networks.probe import ALPHAS, KIND, Probe, ProbeLayer, fit_probe


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"photo {number}" for number in range(10)], 6)
    features = rng.normal(5, 3, size=(60, 90)) + rng.normal(size=(10, 90)).repeat(6, 0)
    features[:, 7] = 2.5  # a constant feature
    scores = features[:, :5].sum(1) + rng.normal(scale=8, size=60)
    return features.astype(np.float32), scores, groups


@pytest.mark.parametrize("width", [90, 50])
def test_equals_scikit_learns_ridge_at_the_strength_it_chose(data, width):
    """More features than images, and fewer."""
    features, scores, groups = data
    features = features[:, :width]
    probe = fit_probe(features, [1] * width, scores, groups)
    new = np.random.default_rng(1).normal(5, 3, size=(20, width))
    low, high = np.percentile(features, [5, 95], axis=0)
    clip = FunctionTransformer(lambda given: given.clip(low, high))
    ridges = [make_pipeline(clip, StandardScaler(), Ridge(width * alpha)).fit(features, scores) for alpha in ALPHAS]
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
    loaded, description = Probe.load(path)
    assert description == {"row": "dsmix", "dataset": "toy"}
    assert np.array_equal(loaded.predict(data[0]), probe.predict(data[0]))
    assert list(tmp_path.iterdir()) == [path]


def test_a_probe_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "probe.safetensors"
    save_tensors(path, KIND, {"intercept": 0.5}, {name: torch.zeros(3) for name in ("mean", "scale", "coefficients")})
    with pytest.raises(
        ValueError,
        match=r"should hold low, high, mean, scale, coefficients, perhaps with hidden_weights, .*, got coefficients",
    ):
        Probe.load(path)


def make_hidden_probe(width=7, units=5):
    rng = np.random.default_rng(4)
    mean, coefficients = rng.normal(size=(2, width))
    hidden = HiddenLayer(rng.normal(size=(units, width)), rng.normal(size=units), rng.normal(size=units))
    return Probe(mean - 1, mean + 1, mean, rng.uniform(1, 2, width), coefficients, 0.5, hidden)


def test_a_hidden_layer_adds_to_what_the_linear_part_predicts():
    probe = make_hidden_probe()
    features = np.random.default_rng(5).normal(size=(20, 7)) * 2
    expected = []
    for image in features:
        z = [(min(max(x, low), low + 2) - low - 1) / s for x, low, s in zip(image, probe.low, probe.scale, strict=True)]
        units = [max(0, np.dot(w, z) + bias) for w, bias in zip(probe.hidden.weights, probe.hidden.biases, strict=True)]
        expected.append(np.dot(z, probe.coefficients) + 0.5 + np.dot(units, probe.hidden.outputs))
    np.testing.assert_allclose(probe.predict(features), expected)
    found = ProbeLayer(probe)(torch.from_numpy(features).float())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_hidden_layer_is_kept_in_the_file(tmp_path):
    probe = make_hidden_probe()
    probe.save(tmp_path / "probe.safetensors", {"row": "dsmix"})
    loaded, _ = Probe.load(tmp_path / "probe.safetensors")
    features = np.random.default_rng(5).normal(size=(20, 7))
    assert np.array_equal(loaded.predict(features), probe.predict(features))


def test_a_hidden_layer_of_another_width_is_refused():
    probe = make_hidden_probe()
    with pytest.raises(ValueError, match=r"hidden_weights should be finite numbers of shape \(5, 7\), got .* \(5, 6\)"):
        dataclasses.replace(probe, hidden=probe.hidden._replace(weights=np.ones((5, 6))))
    with pytest.raises(ValueError, match="hidden_outputs should be finite numbers"):
        dataclasses.replace(probe, hidden=probe.hidden._replace(outputs=np.full(5, np.nan)))


def test_a_hidden_layer_learns_what_is_not_linear():
    """Scores that fall with the distance from the middle: no line can tell them."""
    rng = np.random.default_rng(6)
    features = rng.normal(size=(1500, 6))
    scores = -np.abs(features[:, 0]) + 0.1 * rng.normal(size=1500)
    train, test = slice(1000), slice(1000, None)

    def fit(units, seed=0):
        return fit_probe(features[train], [1] * 6, scores[train], np.arange(1000), None, units, seed)

    def correlation(probe):
        return np.corrcoef(probe.predict(features[test]), scores[test])[0, 1]

    state = torch.get_rng_state()
    hidden = fit(32)
    assert torch.equal(torch.get_rng_state(), state)
    assert correlation(fit(0)) < 0.2
    assert correlation(hidden) > 0.5
    assert np.array_equal(fit(32).predict(features), hidden.predict(features))
    assert not np.array_equal(fit(32, seed=1).predict(features), hidden.predict(features))


def test_weights_of_images_count_in_the_hidden_layer():
    """Two sets contradict each other; the heavier one is believed."""
    rng = np.random.default_rng(7)
    half = rng.normal(size=(500, 4))
    features, scores = np.tile(half, (2, 1)), np.concatenate([np.abs(half[:, 0]), -np.abs(half[:, 0])])
    for weights, sign in (((1, 0.02), 1), ((0.02, 1), -1)):
        probe = fit_probe(features, [4], scores, np.arange(1000), np.repeat(weights, 500), 32)
        assert sign * np.corrcoef(probe.predict(half), np.abs(half[:, 0]))[0, 1] > 0.7


def test_changes_teach_a_hidden_layer_what_scores_do_not_tell():
    rng = np.random.default_rng(0)
    references = rng.normal(size=(400, 6))
    references[:, 1] = 0
    strength = rng.uniform(size=400)
    features = references + np.outer(strength, np.eye(6)[1])
    scores = references[:, 0]  # whatever the strength
    pairs = Pairs(np.arange(400), references, -strength)
    changes = []
    for given in (None, pairs):
        probe = fit_probe(features, [1] * 6, scores, np.arange(400), hidden_units=16, pairs=given)
        changes.append(probe.predict(features) - probe.predict(references))
    alone, paired = (np.polyfit(strength, change, 1)[0] for change in changes)
    assert abs(alone) < 0.2
    assert -1.2 < paired < -0.4
