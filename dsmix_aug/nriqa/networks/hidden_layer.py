"""The probe's hidden layer: several small networks from standardised features to scores, which are averaged."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Networks that are fitted and averaged, with an equal share of the units each.
NETWORKS = 4
#: Units that the layer of a file may have.
MOST_UNITS = 4096
EPOCHS, BATCH_SIZE, LEARNING_RATE = 20, 256, 1e-2
#: Of few images there are more epochs: with these many steps the layer is better than a ridge on a hundred photos, too.
FEWEST_STEPS = 400
#: Share of the features, and of the units, that a step does without.
DROPOUT = 0.3


class HiddenLayer(NamedTuple):
    """score = max(x @ weights.T + biases, 0) @ outputs.

    ``weights``: (H, D); ``biases``: (H,); ``outputs``: (H,).
    """

    weights: np.ndarray
    biases: np.ndarray
    outputs: np.ndarray


class Pairs(NamedTuple):
    """Images and what they were made of.

    ``images``: (M,), their rows among all images; ``references``: (M, D), features of the references; ``changes``:
    (M,), an image's score less that of its reference.
    """

    images: np.ndarray
    references: np.ndarray
    changes: np.ndarray


def fit_hidden_layer(
    standardized: np.ndarray, scores: np.ndarray, weights: np.ndarray, units: int, seed: int, pairs: Pairs | None = None
) -> HiddenLayer:
    """Fit a hidden layer that predicts scores.

    AdamW on the weighted squared error, with dropout of features and units. How long, how fast and how much was chosen
    on BIQ2021's validation photos and held-out images of the bank. An image that is paired counts twice: with its
    score, and with its change, predicted as a difference of two scores without the same features and units.

    Args:
        standardized: (N, D), of zero mean and a total variance of 1.
        scores: (N,), of zero mean.
        weights: (N,), above 0: how much each image's error counts.
        units: H, a multiple of :data:`NETWORKS`.
        seed: Seed of the initial weights, the batches and the dropout.
        pairs: Images whose references are known; the references' features standardized alike.
    """
    deviation = float(scores.std())
    if pairs is None:
        pairs = Pairs(np.empty(0, int), np.empty((0, standardized.shape[1])), np.empty(0))
    numbers = np.full(len(scores), -1)
    numbers[pairs.images] = np.arange(len(pairs.images))
    arrays = (standardized, scores / deviation, weights / weights.mean(), pairs.references, pairs.changes / deviation)
    features, targets, counts, references, changes = (torch.from_numpy(array.astype(np.float32)) for array in arrays)
    data = _Data(features, targets, counts, torch.from_numpy(numbers), references, changes)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        fitted = [_fit_network(data, units // NETWORKS) for _ in range(NETWORKS)]
    hidden, outputs = zip(*fitted, strict=True)
    joined = (
        torch.cat([layer.weight for layer in hidden]),
        torch.cat([layer.bias for layer in hidden]),
        torch.cat([weight * deviation / NETWORKS for weight in outputs]),
    )
    return HiddenLayer(*(tensor.detach().double().numpy() for tensor in joined))


class _Data(NamedTuple):
    """All that a network is fitted to; ``pairs``: (N,), the row of an image's reference and change, -1: it has none."""

    features: Tensor
    targets: Tensor
    counts: Tensor
    pairs: Tensor
    references: Tensor
    changes: Tensor


def _fit_network(data: _Data, units: int) -> tuple[nn.Linear, Tensor]:
    """Return a hidden layer and the weights (units,) of its outputs."""
    images, width = data.features.shape
    hidden, output = nn.Linear(width, units), nn.Linear(units, 1, bias=False)
    nn.init.normal_(hidden.weight)  # features have a total variance of 1, and so has what comes out
    nn.init.zeros_(output.weight)
    optimizer = torch.optim.AdamW([*hidden.parameters(), *output.parameters()], lr=LEARNING_RATE)
    batches = math.ceil(images / BATCH_SIZE)
    epochs = max(EPOCHS, math.ceil(FEWEST_STEPS / batches))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)

    def predict(features: Tensor, kept: Tensor, kept_units: Tensor) -> Tensor:
        return output(hidden(features * kept).relu() * kept_units).squeeze(1)

    for _ in range(epochs):
        for batch in torch.randperm(images).split(BATCH_SIZE):
            kept, kept_units = (F.dropout(torch.ones(len(batch), size), DROPOUT) for size in (width, units))
            predicted = predict(data.features[batch], kept, kept_units)
            errors = (data.counts[batch] * (predicted - data.targets[batch]).square()).sum()
            paired = data.pairs[batch] >= 0  # perhaps none
            pairs = data.pairs[batch][paired]
            of_references = predict(data.references[pairs], kept[paired], kept_units[paired])
            change_errors = predicted[paired] - of_references - data.changes[pairs]
            errors = errors + (data.counts[batch][paired] * change_errors.square()).sum()
            optimizer.zero_grad()
            (errors / len(batch)).backward()
            optimizer.step()
            schedule.step()
    return hidden, output.weight[0]
