"""The probe, from features to a score: clipping, standardisation, and ridge regression or a hidden layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug.nriqa.base.files import load_tensors, save_tensors
from dsmix_aug.nriqa.networks.hidden_layer import HiddenLayer, Pairs, fit_hidden_layer

KIND = "dsmix_aug.Probe"
#: Strengths to choose from, relative to features that are scaled to a total variance of 1.
ALPHAS = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 5))
FOLDS = 5
#: Features are clipped to these quantiles of the training photos.
CLIP_QUANTILES = (0.05, 0.95)
#: Numbers in the rows of a regression from which its products are shared among threads.
LARGE = 10**8
#: A feature with a standard deviation below this share of its mean is constant up to rounding.
CONSTANT = 1e-12
#: The fields of a probe that are arrays of one value per feature, and the names of those of its hidden layer in files.
ARRAYS = ("low", "high", "mean", "scale", "coefficients")
HIDDEN_ARRAYS = tuple(f"hidden_{name}" for name in HiddenLayer._fields)


@dataclass(frozen=True)
class Probe:
    """score = z @ coefficients + intercept, plus what the hidden layer makes of z.

    z = (clip(features, low, high) - mean) / scale.

    Attributes:
        low: (D,), like the others up to ``coefficients``.
        coefficients: Zeros where the hidden layer does everything, as in what :func:`fit_probe` returns.
        intercept: A number.
        hidden: ``None``: the probe is linear.

    Raises:
        ValueError: If a value is not finite, a scale is not above 0, a ``low`` is above its ``high``, or the arrays are
            not of one width.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float
    hidden: HiddenLayer | None = None

    def __post_init__(self) -> None:
        units = 0 if self.hidden is None else len(self.hidden.biases)
        for name, shape in array_shapes(self.mean.size, units).items():
            array = self.arrays()[name]
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} should be finite numbers of shape {shape}, got an array {array.shape}")
        if not np.isfinite(self.intercept):
            raise ValueError(f"intercept should be finite, got {self.intercept}")
        if not (self.scale > 0).all():
            raise ValueError(f"scale should be above 0, got {self.scale.min()}")
        if not (self.low <= self.high).all():
            raise ValueError("low should not be above high")

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], intercept: float) -> Probe:
        """Return the probe that has these :meth:`arrays`."""
        own: Mapping[str, Any] = {name: arrays[name] for name in ARRAYS}
        hidden = HiddenLayer(*(arrays[name] for name in HIDDEN_ARRAYS)) if HIDDEN_ARRAYS[0] in arrays else None
        return cls(**own, intercept=intercept, hidden=hidden)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by the names that they have in files."""
        hidden = () if self.hidden is None else zip(HIDDEN_ARRAYS, self.hidden, strict=True)
        return {name: getattr(self, name) for name in ARRAYS} | dict(hidden)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the scores of (N, D) features, (N,) float64."""
        standardized = (np.clip(features, self.low, self.high) - self.mean) / self.scale
        scores = standardized @ self.coefficients + self.intercept
        if self.hidden is None:
            return scores
        units = np.maximum(standardized @ self.hidden.weights.T + self.hidden.biases, 0)
        return scores + units @ self.hidden.outputs

    def save(self, path: Path, description: dict[str, Any]) -> None:
        """Write the probe and what it was trained on to a safetensors file, in one piece."""
        arrays = {name: torch.from_numpy(array) for name, array in self.arrays().items()}
        save_tensors(path, KIND, {**description, "intercept": self.intercept}, arrays)

    @classmethod
    def load(cls, path: Path) -> tuple[Probe, dict[str, Any]]:
        """Read what :meth:`save` wrote: the probe and its description.

        Raises:
            ValueError: If the file is damaged or holds something else, such as a probe of an older version.
        """
        description, tensors = load_tensors(path, KIND)
        if set(tensors) not in ({*ARRAYS}, {*ARRAYS, *HIDDEN_ARRAYS}):
            raise ValueError(
                f"{path} should hold {', '.join(ARRAYS)}, perhaps with {', '.join(HIDDEN_ARRAYS)}, "
                f"got {', '.join(sorted(tensors))}"
            )
        if not isinstance(description, dict) or not isinstance(description.get("intercept"), float):
            raise ValueError(f"{path} should say what the probe's intercept is, got {str(description)[:200]}")
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls.of(arrays, description.pop("intercept")), description


class ProbeLayer(nn.Module):
    """A :class:`Probe` as a layer: features (B, D) -> scores (B,). Its arrays are float32 buffers."""

    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercept: Tensor
    hidden_weights: Tensor
    hidden_biases: Tensor
    hidden_outputs: Tensor

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.names = tuple(probe.arrays())
        for name, array in probe.arrays().items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))
        self.register_buffer("intercept", torch.tensor(probe.intercept, dtype=torch.float32))
        self.is_linear = probe.hidden is None

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores; a feature that was clipped passes no gradient."""
        standardized = (features.clamp(self.low, self.high) - self.mean) / self.scale
        scores = standardized @ self.coefficients + self.intercept
        if self.is_linear:
            return scores
        units = F.linear(standardized, self.hidden_weights, self.hidden_biases).relu()
        return scores + units @ self.hidden_outputs


def array_shapes(width: int, hidden_units: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a probe's arrays by name, for features of some width; 0 hidden units: it is linear."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ARRAYS, (width,))
    hidden = ((hidden_units, width), (hidden_units,), (hidden_units,))
    return shapes | (dict(zip(HIDDEN_ARRAYS, hidden, strict=True)) if hidden_units else {})


def fit_probe(
    features: np.ndarray,
    widths: Sequence[int],
    scores: np.ndarray,
    contents: np.ndarray,
    weights: np.ndarray | None = None,
    hidden_units: int = 0,
    seed: int = 0,
    pairs: Pairs | None = None,
) -> Probe:
    """Fit a ridge regression or a hidden layer.

    A ridge's regularisation is chosen by cross-validation inside what is given here.

    Features are clipped to the range of most training photos: on distortions that are rare in training, such as heavy
    noise, features fall far outside that range and a linear model extrapolates; clipping bounds it. Then they are
    standardised and divided by the square root of the width of their group, so that each statistic of each feature map
    has the same weight; otherwise the last map with its many channels would dominate the early ones.
    An image that is paired with its reference counts twice: with its score, and with the difference of the two, in
    which what was done to the photo is all that can be seen.

    Args:
        features: (N, D).
        widths: Widths of the groups of features, in order; their sum is D.
        scores: (N,).
        contents: (N,) names; images of one content stay in one fold. A single content is split by image.
        weights: (N,), above 0: how much each image's error counts, in the fit and in the choice. Default: all alike.
        hidden_units: Units of the hidden layer, a multiple of
            :data:`~dsmix_aug.nriqa.networks.hidden_layer.NETWORKS`; 0: a ridge regression.
        seed: Seed of the hidden layer's draws.
        pairs: Images whose references are known.
    """
    if weights is None:
        weights = np.ones(len(scores))
    low, high = np.quantile(features, CLIP_QUANTILES, axis=0)
    clipped = np.clip(features.astype(np.float64), low, high)
    mean = np.average(clipped, axis=0, weights=weights)
    deviation = np.sqrt(np.average(np.square(clipped - mean), axis=0, weights=weights))
    deviation[deviation <= CONSTANT * np.abs(mean)] = 1.0
    scale = deviation * np.repeat(np.sqrt(np.multiply(widths, len(widths))), widths)
    standardized = clipped  # in place: of a joint probe these are gigabytes
    standardized -= mean
    standardized /= scale
    intercept = float(np.average(scores, weights=weights))
    if len(np.unique(contents)) == 1:
        contents = np.arange(len(scores))
    if pairs is not None:
        references = (np.clip(pairs.references, low, high) - mean) / scale
        pairs = pairs._replace(references=references)
    targets = scores - intercept
    if hidden_units:
        hidden = fit_hidden_layer(standardized, targets, weights, hidden_units, seed, pairs)
        return Probe(low, high, mean, scale, np.zeros_like(mean), intercept, hidden)
    if pairs is not None:
        standardized = np.concatenate([standardized, standardized[pairs.images] - pairs.references])
        targets = np.concatenate([targets, pairs.changes])
        contents = np.concatenate([contents, contents[pairs.images]])
        weights = np.concatenate([weights, weights[pairs.images]])
    return Probe(low, high, mean, scale, _fit_ridge(standardized, targets, contents, weights), intercept)


def _fit_ridge(standardized: np.ndarray, targets: np.ndarray, contents: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients (D,) of a weighted ridge regression of the strength with the lowest held-out error."""
    # Imported here: to predict scores takes none of them.
    from sklearn.linear_model import ridge_regression
    from sklearn.metrics import mean_squared_error
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    # A column per strength: one product of the features serves all of them.
    columns = np.repeat(targets[:, None], len(ALPHAS), axis=1)
    errors = np.zeros(len(ALPHAS))
    # Small products lose more to threads that wait than they gain.
    with threadpool_limits(1 if standardized.size < LARGE else None, user_api="blas"):
        folds = GroupKFold(min(FOLDS, len(np.unique(contents)))).split(standardized, groups=contents)
        for train, left_out in folds:
            fitted = ridge_regression(
                standardized[train], columns[train], np.array(ALPHAS), sample_weight=weights[train], solver="cholesky"
            )
            predicted = standardized[left_out] @ fitted.T
            errors += mean_squared_error(
                columns[left_out], predicted, sample_weight=weights[left_out], multioutput="raw_values"
            )
        best = ALPHAS[errors.argmin()]
        return ridge_regression(standardized, targets, best, sample_weight=weights, solver="cholesky")
