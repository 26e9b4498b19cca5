"""One probe for several datasets: their scores on one scale, a weight for each, one regression for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from sklearn.model_selection import GroupKFold

from dsmix_aug.nriqa.networks.hidden_layer import Pairs
from dsmix_aug.nriqa.networks.probe import FOLDS, Probe, fit_probe

#: Percentiles that are mapped to those of the first dataset; not the extremes, so that no single score decides.
SCALE_QUANTILES = (0.01, 0.99)
#: Weights that are tried where none is given.
WEIGHTS = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class TrainingSet:
    """Images of one dataset to fit a probe to.

    Attributes:
        features: (N, D).
        scores: (N,), higher is better, on any scale.
        contents: (N,) names; images of one content stay in one fold.
        reference_features: (N, D), of what each image was made of; NaN where that is not known. ``None``: of none.
    """

    features: np.ndarray
    scores: np.ndarray
    contents: np.ndarray
    reference_features: np.ndarray | None = None

    def select(self, chosen: np.ndarray) -> TrainingSet:
        """Return some of the images, by number or by a mask."""
        references = None if self.reference_features is None else self.reference_features[chosen]
        return TrainingSet(self.features[chosen], self.scores[chosen], self.contents[chosen], references)


def put_on_scale(scores: np.ndarray, scale_of: np.ndarray, measured_on: np.ndarray | None = None) -> np.ndarray:
    """Map scores linearly so that their 1st and 99th percentiles meet those of other scores.

    Args:
        scores: The scores to map.
        scale_of: The scores to meet.
        measured_on: Scores on the scale of ``scores`` whose percentiles are taken instead.

    Raises:
        ValueError: If these percentiles are equal: there is nothing to stretch.
    """
    low, high = np.quantile(scores if measured_on is None else measured_on, SCALE_QUANTILES)
    if low == high:
        raise ValueError(f"scores should differ from one another to be put on another scale, got {low:.4g} for all")
    own_low, own_high = np.quantile(scale_of, SCALE_QUANTILES)
    return own_low + (scores - low) * ((own_high - own_low) / (high - low))


def check_weights(weights: Sequence[float | None]) -> None:
    """Raise ``ValueError`` unless there is a weight above 0, or ``None``, for each of at least two datasets."""
    if len(weights) < 2:
        raise ValueError(f"a joint probe should have at least 2 datasets, got {len(weights)}")
    wrong = [weight for weight in weights if weight is not None and not 0 < weight < np.inf]
    if wrong:
        raise ValueError(f"the weight of a dataset should be above 0, got {wrong[0]}")


def fit_joint_probe(
    sets: Sequence[TrainingSet],
    widths: Sequence[int],
    weights: Sequence[float | None],
    hidden_units: int = 0,
    seed: int = 0,
    scales: Sequence[int] | None = None,
) -> tuple[Probe, tuple[float, ...]]:
    """Fit one probe to several datasets; it predicts scores on the scale of the first one.

    Scores of the others are mapped linearly: see :func:`put_on_scale`. Datasets on one scale are mapped alike. An
    image's error counts with the weight of its dataset. Where none is given, one weight for all of these is chosen
    among :data:`WEIGHTS` (1 for the first dataset), by cross-validation inside what is given here: the one whose
    predictions of images that were left out have the highest SRCC, averaged over the datasets.

    An image whose reference is known is paired with it, see :func:`~dsmix_aug.nriqa.networks.probe.fit_probe`; the
    reference counts as being as good as the best image of its dataset.

    Args:
        sets: The datasets, at least two.
        widths: Widths of the groups of features, in order.
        weights: Of one image of each dataset, above 0; ``None``: to be chosen, by probes that are linear.
        hidden_units: Units of the probe's hidden layer, as for :func:`~dsmix_aug.nriqa.networks.probe.fit_probe`.
        seed: Seed of the hidden layer's draws.
        scales: For each dataset, the number of the dataset whose scale its scores are on. Default: each has its own.

    Returns:
        The probe and the weights that it was fitted with.

    Raises:
        ValueError: If a weight is not above 0, there are not as many as datasets, or all scores of one are equal.
    """
    check_weights(weights)
    if len(sets) != len(weights):
        raise ValueError(f"weights should be one per dataset: expected {len(sets)}, got {len(weights)}")
    measured_on = [sets[number].scores for number in (range(len(sets)) if scales is None else scales)]
    on_scale = [
        replace(given, scores=put_on_scale(given.scores, sets[0].scores, measured))
        for given, measured in zip(sets[1:], measured_on[1:], strict=True)
    ]
    sets = [sets[0], *on_scale]
    known = (1.0 if weights[0] is None else weights[0], *weights[1:])
    candidates = [
        tuple(float(tried if weight is None else weight) for weight in known)
        for tried in (WEIGHTS if None in known else (1.0,))
    ]
    chosen = candidates[0]
    if len(candidates) > 1:
        chosen = max(candidates, key=lambda candidate: _held_out_srcc(sets, widths, candidate))
    return _fit(sets, widths, chosen, hidden_units, seed), chosen


def _fit(
    sets: Sequence[TrainingSet],
    widths: Sequence[int],
    weights: Sequence[float],
    hidden_units: int = 0,
    seed: int = 0,
) -> Probe:
    return fit_probe(
        np.concatenate([given.features for given in sets]),
        widths,
        np.concatenate([given.scores for given in sets]),
        np.concatenate([[f"{number}/{name}" for name in given.contents] for number, given in enumerate(sets)]),
        np.repeat(weights, [len(given.scores) for given in sets]),
        hidden_units,
        seed,
        _pair(sets),
    )


def _pair(sets: Sequence[TrainingSet]) -> Pairs | None:
    """Return the pairs of all datasets, their rows counted through; ``None`` where there are none."""
    images, references, changes, start = [], [], [], 0
    for given in sets:
        if given.reference_features is not None:
            paired = np.flatnonzero(~np.isnan(given.reference_features[:, 0]))
            images.append(start + paired)
            references.append(given.reference_features[paired])
            changes.append(given.scores[paired] - given.scores.max())
        start += len(given.scores)
    return Pairs(*map(np.concatenate, (images, references, changes))) if images else None


def _held_out_srcc(sets: Sequence[TrainingSet], widths: Sequence[int], weights: Sequence[float]) -> float:
    """Return the SRCC of predictions of images that were left out, averaged over the datasets."""
    folds = [_folds(given.contents) for given in sets]
    predicted = [np.empty(len(given.scores)) for given in sets]
    for fold in range(FOLDS):
        kept = [given.select(own != fold) for given, own in zip(sets, folds, strict=True)]
        probe = _fit(kept, widths, weights)
        for given, own, values in zip(sets, folds, predicted, strict=True):
            if (own == fold).any():
                values[own == fold] = probe.predict(given.features[own == fold])
    pairs = zip(predicted, sets, strict=True)
    return float(np.mean([stats.spearmanr(values, given.scores).statistic for values, given in pairs]))


def _folds(contents: np.ndarray) -> np.ndarray:
    """Return the fold of each image; images of one content share one."""
    if len(np.unique(contents)) == 1:
        contents = np.arange(len(contents))
    folds = np.empty(len(contents), int)
    splitter = GroupKFold(min(FOLDS, len(np.unique(contents))))
    for number, (_, left_out) in enumerate(splitter.split(contents, groups=contents)):
        folds[left_out] = number
    return folds
