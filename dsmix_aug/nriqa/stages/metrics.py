"""How predictions are judged: rank and linear correlations, the logistic fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

#: Where the logistic's middle b3 and log(b4) are looked for, in standard deviations of the predictions.
SHAPE_RANGE = ((-6.0, 6.0), (-6.0, 4.0))
GRID = 17


class Scores(NamedTuple):
    """How well predictions follow targets; see :func:`score`."""

    srcc: float
    plcc: float
    plcc_linear: float
    krcc: float
    rmse: float


def score(predictions: Sequence[float] | np.ndarray, targets: Sequence[float] | np.ndarray) -> Scores:
    """Judge predictions against targets.

    SRCC and KRCC compare ranks (KRCC is tau-b). PLCC, and RMSE in the unit of the targets, are taken after the
    predictions went through the 4-parameter logistic that fits them best to the targets; ``plcc_linear`` is that of the
    predictions as they are.
    Where predictions or targets are all equal there is no order to compare: the correlations are NaN, and RMSE
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
        return Scores(np.nan, np.nan, np.nan, np.nan, float(target.std()))
    mapped = fit_logistic(predicted, target)
    return Scores(
        srcc=float(stats.spearmanr(predicted, target).statistic),
        plcc=float(stats.pearsonr(mapped, target).statistic) if np.ptp(mapped) > 0 else np.nan,
        plcc_linear=float(stats.pearsonr(predicted, target).statistic),
        krcc=float(stats.kendalltau(predicted, target).statistic),
        rmse=float(np.sqrt(np.mean((mapped - target) ** 2))),
    )


def score_splits(predictions: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Judge the predictions of every split: columns ``keys``, ``split``, and the fields of :class:`Scores`.

    Args:
        predictions: The table of :class:`~dsmix_aug.nriqa.runs.predictions.Predictions`, or several of them.
        keys: Columns that tell apart what is judged on its own.
    """
    columns = [*keys, "split"]
    return pd.DataFrame(
        [
            {**dict(zip(columns, key, strict=True)), **score(split["prediction"], split["target"])._asdict()}
            for key, split in predictions.groupby(columns, sort=False)
        ]
    )


def median_over_splits(splits: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the median of each score over splits, indexed by ``keys``; a NaN in one split makes it NaN, to be seen."""
    scores = splits.groupby(list(keys), sort=False)[list(Scores._fields)]
    return scores.agg(lambda column: column.median(skipna=False))


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
