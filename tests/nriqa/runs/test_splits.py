"""Splits: contents stay together, and too little data is refused with what is needed."""

from pathlib import Path

import numpy as np
import pytest

from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.runs.splits import check_splits, make_splits


def scored_set(groups, split=None, scores=None):
    images = tuple(Path(f"{number}.png") for number in range(len(groups)))
    scores = np.arange(float(len(groups))) if scores is None else np.asarray(scores, float)
    return ScoredSet("toy", "score", images, scores, tuple(groups), split, (), "")


def test_random_splits_keep_contents_together_and_repeat():
    groups = [f"photo {number % 10}" for number in range(60)]
    splits = make_splits(scored_set(groups), count=10, seed=3)
    assert len(splits) == 10
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(60))
        assert {groups[i] for i in train}.isdisjoint(groups[i] for i in test)
        assert len({groups[i] for i in test}) == 2  # a fifth of the contents
    assert len({tuple(test) for _, test in splits}) > 1
    again = make_splits(scored_set(groups), count=10, seed=3)
    assert all((a[1] == b[1]).all() for a, b in zip(splits, again, strict=True))


def test_official_split_is_the_only_one():
    ((train, test),) = make_splits(scored_set("abcd", ("train", "test", "train", "test")), count=10, seed=0)
    assert train.tolist() == [0, 2]
    assert test.tolist() == [1, 3]


def test_one_content_cannot_be_parted():
    with pytest.raises(ValueError, match="toy: splits need images of at least 2 contents, got 1"):
        make_splits(scored_set("aaaa"), count=2, seed=0)


@pytest.mark.parametrize(
    ("scored", "message"),
    [
        (scored_set("a"), "toy: splits need images of at least 2 contents, got 1"),
        (scored_set("ab"), "at least 2 images, got 1 on the training side of 2 images of 2 contents"),
        (scored_set("abc"), "at least 2 images, got 1 on the test side of 3 images of 3 contents"),
        (scored_set("abcde"), "at least 2 images, got 1 on the test side of 5 images of 5 contents"),
        (scored_set("abcd", ("train", "test", "test", "test")), "got 1 on the training side"),
        (scored_set("abcd", ("train", "train", "train", "test")), "got 1 on the test side"),
        (scored_set("abcdefgh", scores=[3] * 8), "all images on the training side of split 0 have the score 3"),
        (scored_set("abcd", ("train", "train", "test", "test"), [1, 2, 5, 5]), "on the test side of split 0 have the"),
    ],
)
def test_too_little_data_is_refused(scored, message):
    with pytest.raises(ValueError, match=message):
        check_splits(scored, count=3, seed=0)


@pytest.mark.parametrize(
    "scored", [scored_set("abcdef"), scored_set("aaabbb"), scored_set("abcd", ("train", "train", "test", "test"))]
)
def test_just_enough_data_is_accepted(scored):
    check_splits(scored, count=3, seed=0)
