"""Which images of a scored dataset the probe is fitted to, and which it is judged on."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from dsmix_aug.nriqa.datasets.scored_set import ScoredSet

TEST_SHARE = 0.2


def make_splits(scored: ScoredSet, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training indices, test indices): only the official split where there is one, else random ones.

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


def check_splits(scored: ScoredSet, count: int, seed: int) -> None:
    """Refuse a dataset that a probe cannot be fitted to or judged on, before anything is trained.

    Raises:
        ValueError: If a side of a split has fewer than two images, or only equal scores; says what is needed.
    """
    for number, split in enumerate(make_splits(scored, count, seed)):
        for side, indices in zip(("training", "test"), split, strict=True):
            if len(indices) < 2:
                raise ValueError(
                    f"{scored.name}: both sides of a split need at least 2 images, got {len(indices)} on the {side} "
                    f"side of {_describe(scored)}; without an official split, a fifth of the contents is tested on"
                )
            if np.ptp(scored.scores[indices]) == 0:
                raise ValueError(
                    f"{scored.name}: all images on the {side} side of split {number} have the score "
                    f"{scored.scores[indices[0]]:g}, so that there is no order to learn or to judge; give more images "
                    f"or finer scores than these of {_describe(scored)}"
                )


def _describe(scored: ScoredSet) -> str:
    return f"{len(scored.images)} images of {len(set(scored.groups))} contents"
