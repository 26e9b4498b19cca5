"""Resampled SRCC against SciPy on samples that are written out."""

import numpy as np
import pytest
from scipy import stats

from dsmix_aug.nriqa.report.bootstrap import srcc_of_samples


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_samples_have_the_srcc_of_their_images_written_out(decimals):
    """Few decimals make ties, among predictions and targets."""
    rng = np.random.default_rng(0)
    contents = rng.integers(12, size=80)
    targets = rng.normal(size=80).round(decimals)
    predictions = (targets + rng.normal(size=80)).round(decimals)
    counts = np.stack([np.ones(12, int), *(np.bincount(rng.integers(12, size=12), minlength=12) for _ in range(30))])
    expected = []
    for sample in counts:
        images = np.repeat(np.arange(80), sample[contents])
        expected.append(stats.spearmanr(predictions[images], targets[images]).statistic)
    np.testing.assert_allclose(srcc_of_samples(predictions, targets, contents, counts), expected, rtol=0, atol=1e-12)
