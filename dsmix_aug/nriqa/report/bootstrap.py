"""A paired bootstrap over photos and seeds: the SRCC of rows on samples of a test set, drawn with replacement."""

from __future__ import annotations

import numpy as np
import pandas as pd


class Bootstrap:
    """Differences in SRCC of pairs of rows, on one test set, for the data as it is and for replicates of it.

    A replicate draws contents, each with all of its images, and seeds with replacement. All pairs that have as many
    seeds see the same draws, so that each row's SRCCs are computed once.

    Args:
        predictions: Those of one test set by probes of one dataset, with a column ``seed``.
        replicates: Number of replicates.
        seed: Seed of the draws.
    """

    def __init__(self, predictions: pd.DataFrame, replicates: int, seed: int) -> None:
        numbers, names = pd.factorize(predictions["content"])
        self._count = len(names)
        self._replicates, self._seed = replicates, seed
        self._runs = dict(list(predictions.assign(content=numbers).groupby(["row", "seed"])))
        self._draws: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._srcc: dict[tuple[str, int, int], np.ndarray] = {}

    def difference(self, row: str, baseline: str) -> np.ndarray:
        """Return the SRCC of a row minus that of another one, mean over seeds: of the data, then of each replicate.

        Raises:
            ValueError: If the rows have no seed in common.
        """
        of_row, of_baseline = ([seed for name, seed in self._runs if name == wanted] for wanted in (row, baseline))
        seeds = [seed for seed in of_row if seed in of_baseline]
        if not seeds:
            raise ValueError(f"pairs: rows {row!r} and {baseline!r} have no seed in common")
        own, other = (
            np.stack([self._srcc_of(name, seed, len(seeds)) for seed in seeds], axis=1) for name in (row, baseline)
        )
        _, times = self._draw(len(seeds))
        return np.average(own - other, axis=1, weights=times)

    def _draw(self, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """Return how often each content (1 + replicates, contents) and each seed (1 + replicates, seeds) counts."""
        if seeds not in self._draws:
            rng = np.random.default_rng(self._seed)
            contents, times = [np.ones(self._count, int)], [np.ones(seeds, int)]
            for _ in range(self._replicates):
                contents.append(np.bincount(rng.integers(self._count, size=self._count), minlength=self._count))
                times.append(rng.multinomial(seeds, np.full(seeds, 1 / seeds)))
            self._draws[seeds] = np.stack(contents), np.stack(times)
        return self._draws[seeds]

    def _srcc_of(self, row: str, seed: int, seeds: int) -> np.ndarray:
        """Return the median SRCC over splits of a row's run, (1 + replicates,), by the draws for a number of seeds."""
        key = row, seed, seeds
        if key not in self._srcc:
            counts, _ = self._draw(seeds)
            samples = []
            for _, split in self._runs[row, seed].groupby("split"):
                predictions, targets, contents = (
                    split[name].to_numpy() for name in ("prediction", "target", "content")
                )
                samples.append(srcc_of_samples(predictions, targets, contents, counts))
            self._srcc[key] = np.median(samples, axis=0)
        return self._srcc[key]


def srcc_of_samples(
    predictions: np.ndarray, targets: np.ndarray, contents: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the SRCC of images in each of K samples of their contents, (K,); NaN where a sample has no two values.

    Args:
        predictions: (N,).
        targets: (N,).
        contents: (N,), numbers of the images' contents.
        counts: (K, C), how often each content is in a sample.
    """
    # Images are sorted once, not once for each sample: ranks in a sample follow from how often each value comes.
    by_prediction, by_target = (np.unique(values, return_inverse=True)[1] for values in (predictions, targets))
    return np.array([_weighted_srcc(by_prediction, by_target, sample[contents]) for sample in counts])


def _weighted_srcc(by_prediction: np.ndarray, by_target: np.ndarray, times: np.ndarray) -> float:
    own, target = (_centred_ranks(levels, times) for levels in (by_prediction, by_target))
    weighted = times * target
    with np.errstate(invalid="ignore"):
        return float(weighted @ own / np.sqrt((times * own @ own) * (weighted @ target)))


def _centred_ranks(levels: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the mean rank of each image among all, of which each is there ``times`` times, minus their mean."""
    size = np.bincount(levels, weights=times)
    ranks = size.cumsum() - (size - 1) / 2
    return (ranks - (times.sum() + 1) / 2)[levels]
