"""The linear probe: standardisation and ridge regression, from features to a score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dsmix_aug.nriqa.files import replace_when_done

#: Strengths to choose from. All groups together have a variance of 1, and so has every image's part in the kernel.
ALPHAS = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 5))
FOLDS = 5


@dataclass(frozen=True)
class LinearProbe:
    """score = (features - mean) / scale @ coefficients + intercept."""

    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the scores of (N, D) features, (N,) float64."""
        return (features - self.mean) / self.scale @ self.coefficients + self.intercept

    def save(self, path: Path, description: dict[str, str]) -> None:
        """Write the probe and what it was trained on to a safetensors file, in one piece."""
        arrays = {"mean": self.mean, "scale": self.scale, "coefficients": self.coefficients}
        metadata = {**description, "intercept": json.dumps(self.intercept)}
        with replace_when_done(path) as temporary:
            safetensors.numpy.save_file(arrays, temporary, metadata)

    @classmethod
    def load(cls, path: Path) -> tuple[LinearProbe, dict[str, str]]:
        """Read what :meth:`save` wrote: the probe and its description."""
        arrays = safetensors.numpy.load_file(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            description = dict(file.metadata())
        return cls(**arrays, intercept=json.loads(description.pop("intercept"))), description


def fit_probe(features: np.ndarray, widths: Sequence[int], scores: np.ndarray, contents: np.ndarray) -> LinearProbe:
    """Fit a probe; its regularisation is chosen by cross-validation inside what is given here.

    Features are standardised, and divided by the square root of the width of their group: each statistic of each
    feature map then has the same say, where otherwise the last map with its many channels would drown the early ones.
    The ridge is solved in its dual form, where one product of the features serves every fold and every strength.

    Args:
        features: (N, D).
        widths: Widths of the groups of features, in order; their sum is D.
        scores: (N,).
        contents: (N,) names; images of one content stay in one fold. A single content is parted by image.
    """
    scaler = StandardScaler().fit(features.astype(np.float64))
    scale = scaler.scale_ * np.repeat(np.sqrt(np.multiply(widths, len(widths))), widths)
    standardized = (features - scaler.mean_) / scale
    intercept = float(scores.mean())
    if len(np.unique(contents)) == 1:
        contents = np.arange(len(scores))
    search = GridSearchCV(
        KernelRidge(kernel="precomputed"),
        {"alpha": ALPHAS},
        cv=GroupKFold(min(FOLDS, len(np.unique(contents)))),
        scoring="neg_mean_squared_error",
    )
    with threadpool_limits(1, user_api="blas"):  # products this small lose more to waiting threads than they gain
        search.fit(standardized @ standardized.T, scores - intercept, groups=contents)
        coefficients = standardized.T @ search.best_estimator_.dual_coef_
    return LinearProbe(scaler.mean_, scale, coefficients, intercept)
