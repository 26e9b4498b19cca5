"""The linear probe: clipping, standardisation and ridge regression, from features to a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dsmix_aug.nriqa.base.files import load_tensors, save_tensors

KIND = "dsmix_aug.LinearProbe"
#: Strengths to choose from, relative to features that are scaled to a total variance of 1.
ALPHAS = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 5))
FOLDS = 5
#: Features are clipped to these quantiles of the training photos.
CLIP_QUANTILES = (0.05, 0.95)
#: A feature with a standard deviation below this share of its mean is constant up to rounding.
CONSTANT = 1e-12
#: The fields of a probe that are arrays, one value per feature each.
ARRAYS = ("low", "high", "mean", "scale", "coefficients")


@dataclass(frozen=True)
class LinearProbe:
    """score = (clip(features, low, high) - mean) / scale @ coefficients + intercept.

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

    def __post_init__(self) -> None:
        for name in ARRAYS:
            array = getattr(self, name)
            if array.ndim != 1 or array.shape != self.mean.shape or not np.isfinite(array).all():
                raise ValueError(f"{name} should be {self.mean.size} finite numbers, got an array {array.shape}")
        if not np.isfinite(self.intercept):
            raise ValueError(f"intercept should be finite, got {self.intercept}")
        if not (self.scale > 0).all():
            raise ValueError(f"scale should be above 0, got {self.scale.min()}")
        if not (self.low <= self.high).all():
            raise ValueError("low should not be above high")

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the scores of (N, D) features, (N,) float64."""
        clipped = np.clip(features, self.low, self.high)
        return (clipped - self.mean) / self.scale @ self.coefficients + self.intercept

    def save(self, path: Path, description: dict[str, Any]) -> None:
        """Write the probe and what it was trained on to a safetensors file, in one piece."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in ARRAYS}
        save_tensors(path, KIND, {**description, "intercept": self.intercept}, arrays)

    @classmethod
    def load(cls, path: Path) -> tuple[LinearProbe, dict[str, Any]]:
        """Read what :meth:`save` wrote: the probe and its description.

        Raises:
            ValueError: If the file is damaged or holds something else, such as a probe of an older version.
        """
        description, tensors = load_tensors(path, KIND)
        if set(tensors) != set(ARRAYS):
            raise ValueError(f"{path} should hold {', '.join(ARRAYS)}, got {', '.join(sorted(tensors))}")
        if not isinstance(description, dict) or not isinstance(description.get("intercept"), float):
            raise ValueError(f"{path} should say what the probe's intercept is, got {str(description)[:200]}")
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls(**arrays, intercept=description.pop("intercept")), description


class ProbeLayer(nn.Module):
    """A :class:`LinearProbe` as a layer: features (B, D) -> scores (B,). Its arrays are float32 buffers."""

    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercept: Tensor

    def __init__(self, probe: LinearProbe) -> None:
        super().__init__()
        for name in (*ARRAYS, "intercept"):
            self.register_buffer(name, torch.tensor(getattr(probe, name), dtype=torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores; a feature that was clipped passes no gradient."""
        clipped = features.clamp(self.low, self.high)
        return ((clipped - self.mean) / self.scale) @ self.coefficients + self.intercept


def fit_probe(
    features: np.ndarray,
    widths: Sequence[int],
    scores: np.ndarray,
    contents: np.ndarray,
    weights: np.ndarray | None = None,
) -> LinearProbe:
    """Fit a probe; its regularisation is chosen by cross-validation inside what is given here.

    Features are clipped to the range of most training photos: on distortions that are rare in training, such as heavy
    noise, features fall far outside that range and a linear model extrapolates; clipping bounds it. Then they are
    standardised and divided by the square root of the width of their group, so that each statistic of each feature map
    has the same weight; otherwise the last map with its many channels would dominate the early ones.
    The ridge is solved in its dual form, where one product of the features serves every fold and every strength.

    Args:
        features: (N, D).
        widths: Widths of the groups of features, in order; their sum is D.
        scores: (N,).
        contents: (N,) names; images of one content stay in one fold. A single content is split by image.
        weights: (N,), above 0: how much each image's error counts, in the fit and in the choice. Default: all alike.
    """
    # Imported here: to predict scores takes none of them.
    import sklearn
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics import make_scorer, mean_squared_error
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from threadpoolctl import threadpool_limits

    if weights is None:
        weights = np.ones(len(scores))
    low, high = np.quantile(features, CLIP_QUANTILES, axis=0)
    clipped = np.clip(features.astype(np.float64), low, high)
    mean = np.average(clipped, axis=0, weights=weights)
    deviation = np.sqrt(np.average(np.square(clipped - mean), axis=0, weights=weights))
    deviation[deviation <= CONSTANT * np.abs(mean)] = 1.0
    scale = deviation * np.repeat(np.sqrt(np.multiply(widths, len(widths))), widths)
    standardized = (clipped - mean) / scale
    intercept = float(np.average(scores, weights=weights))
    if len(np.unique(contents)) == 1:
        contents = np.arange(len(scores))
    # Weights belong to the fit and to the error that strengths are compared by: scikit-learn routes them to both.
    with sklearn.config_context(enable_metadata_routing=True), threadpool_limits(1, user_api="blas"):
        # One thread: products this small lose more to waiting threads than they gain.
        search = GridSearchCV(
            KernelRidge(kernel="precomputed").set_fit_request(sample_weight=True),
            {"alpha": ALPHAS},
            cv=GroupKFold(min(FOLDS, len(np.unique(contents)))),
            scoring=make_scorer(mean_squared_error, greater_is_better=False).set_score_request(sample_weight=True),
        )
        search.fit(standardized @ standardized.T, scores - intercept, groups=contents, sample_weight=weights)
        coefficients = standardized.T @ search.best_estimator_.dual_coef_
    return LinearProbe(low, high, mean, scale, coefficients, intercept)
