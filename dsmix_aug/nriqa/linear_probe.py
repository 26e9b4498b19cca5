"""The linear probe: standardisation and ridge regression, from features to a score."""

from __future__ import annotations

import json
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

ALPHAS = tuple(10.0**exponent for exponent in range(1, 7))
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


def fit_probe(features: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> LinearProbe:
    """Fit a probe; its regularisation is chosen by cross-validation inside what is given here.

    The ridge is solved in its dual form, where one product of the features serves every fold and every strength.

    Args:
        features: (N, D).
        scores: (N,).
        groups: (N,) names; images of one content stay in one fold. A single content is parted by image.
    """
    scaler = StandardScaler().fit(features.astype(np.float64))
    standardized = scaler.transform(features.astype(np.float64))
    intercept = float(scores.mean())
    if len(np.unique(groups)) == 1:
        groups = np.arange(len(scores))
    search = GridSearchCV(
        KernelRidge(kernel="precomputed"),
        {"alpha": ALPHAS},
        cv=GroupKFold(min(FOLDS, len(np.unique(groups)))),
        scoring="neg_mean_squared_error",
    )
    with threadpool_limits(1, user_api="blas"):  # products this small lose more to waiting threads than they gain
        search.fit(standardized @ standardized.T, scores - intercept, groups=groups)
        coefficients = standardized.T @ search.best_estimator_.dual_coef_
    return LinearProbe(scaler.mean_, scaler.scale_, coefficients, intercept)
