"""Otsu's thresholds for many classes, exactly and for a batch of histograms at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dsmix_aug._tensors import to_device


def multi_otsu(histograms: Tensor, num_thresholds: Sequence[int]) -> Tensor:
    """Find the thresholds that maximise the between-class variance, by dynamic programming.

    Args:
        histograms: (N, bins) counts.
        num_thresholds: How many thresholds each of the N histograms gets, at least 1 and less than bins.

    Returns:
        (N, max(num_thresholds)) int64, rising: the last bin of each class but the topmost. Rows with fewer thresholds
        are filled up with the last bin.

    Source: Otsu, "A threshold selection method from gray-level histograms", IEEE TSMC 1979.
    """
    gain = _class_gains(histograms)
    scores = [gain[:, :, 0]]  # scores[k][:, end]: the best sum of gains for splitting the bins before `end` in k + 1
    for _ in range(max(num_thresholds) - 1):
        scores.append((gain + scores[-1].unsqueeze(1)).amax(-1))

    size, bins = histograms.shape
    sample = torch.arange(size, device=histograms.device)
    wanted = to_device(num_thresholds, histograms.device)
    end = torch.full_like(sample, bins)
    thresholds = []
    for k in reversed(range(len(scores))):
        start = (gain[sample, end] + scores[k]).argmax(-1)
        end = torch.where(k < wanted, start, end)
        thresholds.append(end - 1)
    return torch.stack(thresholds[::-1], dim=1)


def _class_gains(histograms: Tensor) -> Tensor:
    """Return what a class of the bins start <= bin < end adds to the between-class variance: (N, end, start).

    Where the mean of the histogram is 0 that is weight x mean^2 = sum^2 / weight; other means shift all by the same.
    """
    counts = histograms.to(torch.float64)
    bins = torch.arange(counts.shape[1], dtype=counts.dtype, device=counts.device)
    weight = F.pad(counts.cumsum(1), (1, 0))
    total = F.pad((counts * bins).cumsum(1), (1, 0))
    weights = weight.unsqueeze(2) - weight.unsqueeze(1)
    totals = total.unsqueeze(2) - total.unsqueeze(1)
    gain = totals.square_().div_(weights.clamp_(min=1))
    edges = torch.arange(counts.shape[1] + 1, device=counts.device)
    return gain.masked_fill_(edges.view(-1, 1) <= edges, -torch.inf)  # a class has one bin at least
