"""How predictions are judged: splits by content, rank and linear correlations, the logistic fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats
from sklearn.model_selection import GroupShuffleSplit

from dsmix_aug.nriqa.datasets import ScoredSet

TEST_SHARE = 0.2
#: Where the logistic's middle b3 and log(b4) are looked for, in standard deviations of the predictions.
SHAPE_RANGE = ((-6.0, 6.0), (-6.0, 4.0))
GRID = 17


class Scores(NamedTuple):
    """How well predictions follow targets; see :func:`score`."""

    srcc: float
    plcc: float
    krcc: float
    rmse: float


def make_splits(scored: ScoredSet, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training indices, test indices): the official split alone where there is one, else random ones.

    Random splits put a fifth of the contents into the test side, all images of one content on the same side.

    Args:
        scored: The dataset.
        count: Number of random splits.
        seed: Seed of the random splits.

    Raises:
        ValueError: If there are fewer than two contents to part.
    """
    if scored.split is not None:
        side = np.array(scored.split)
        return [(np.flatnonzero(side == "train"), np.flatnonzero(side == "test"))]
    if len(set(scored.groups)) < 2:
        raise ValueError(f"{scored.name}: splits need images of at least 2 contents, got {len(set(scored.groups))}")
    splitter = GroupShuffleSplit(n_splits=count, test_size=TEST_SHARE, random_state=seed)
    return list(splitter.split(scored.images, groups=scored.groups))


def score(predictions: Sequence[float] | np.ndarray, targets: Sequence[float] | np.ndarray) -> Scores:
    """Judge predictions against targets.

    SRCC and KRCC compare ranks (KRCC is tau-b). PLCC, and RMSE in the unit of the targets, are taken after the
    predictions went through the 4-parameter logistic that fits them best to the targets.
    Where predictions or targets are all equal there is no order to compare: the three correlations are NaN, and RMSE
    is that of the best constant.

    Args:
        predictions: N finite numbers, N >= 2.
        targets: N finite numbers.

    Raises:
        ValueError: If the lengths differ, there are fewer than two, or one is not finite.

    Source: VQEG, "Final report from the Video Quality Experts Group on the validation of objective models of video
    quality assessment, phase II", 2003 (logistic and protocol).

    Example:
        >>> from dsmix_aug.nriqa.stages.metrics import score
        >>> score([0.1, 0.4, 0.3, 0.9], [1.0, 3.0, 2.0, 4.0]).srcc
        1.0
    """
    predicted, target = np.asarray(predictions, float), np.asarray(targets, float)
    if predicted.shape != target.shape or predicted.ndim != 1 or len(predicted) < 2:
        raise ValueError(
            f"predictions and targets should be of one length, at least 2, got {predicted.shape} and {target.shape}"
        )
    if not (np.isfinite(predicted).all() and np.isfinite(target).all()):
        raise ValueError("predictions and targets should be finite, got NaN or infinity")
    if np.ptp(predicted) == 0 or np.ptp(target) == 0:
        return Scores(np.nan, np.nan, np.nan, float(target.std()))
    mapped = fit_logistic(predicted, target)
    return Scores(
        srcc=float(stats.spearmanr(predicted, target).statistic),
        plcc=float(stats.pearsonr(mapped, target).statistic) if np.ptp(mapped) > 0 else np.nan,
        krcc=float(stats.kendalltau(predicted, target).statistic),
        rmse=float(np.sqrt(np.mean((mapped - target) ** 2))),
    )


def fit_logistic(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the predictions after the 4-parameter logistic that fits the targets best in the least squares sense.

    f(x) = b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)), with b4 > 0. It may fall (b1 < b2), so that a PLCC taken after it
    is not negative, also where the SRCC is.
    """
    x = (predictions - predictions.mean()) / predictions.std()

    def best(shape: np.ndarray) -> np.ndarray:
        """Return the best logistic of one middle and (log) width: b1 and b2 are a straight line's fit."""
        middle, log_width = np.clip(shape, *np.transpose(SHAPE_RANGE))
        curve = special.expit((x - middle) / np.exp(log_width))
        centered = curve - curve.mean()
        slope = centered @ targets / max(centered @ centered, np.finfo(float).tiny)
        return targets.mean() + slope * centered

    # The error has several minima and runs off to a straight line or a step: a grid first, then downhill from its best.
    shape = optimize.brute(lambda b: np.square(best(b) - targets).sum() / targets.var(), SHAPE_RANGE, Ns=GRID)
    return best(shape)
