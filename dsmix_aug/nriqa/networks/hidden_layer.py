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
#: Share of the features, and of the units, that a step does without.
DROPOUT = 0.3


class HiddenLayer(NamedTuple):
    """score = max(x @ weights.T + biases, 0) @ outputs.

    ``weights``: (H, D); ``biases``: (H,); ``outputs``: (H,).
    """

    weights: np.ndarray
    biases: np.ndarray
    outputs: np.ndarray


def fit_hidden_layer(
    standardized: np.ndarray, scores: np.ndarray, weights: np.ndarray, units: int, seed: int
) -> HiddenLayer:
    """Fit a hidden layer that predicts scores.

    AdamW on the weighted squared error, with dropout of features and units. How long, how fast and how much was chosen
    on BIQ2021's validation photos and held-out images of the bank.

    Args:
        standardized: (N, D), of zero mean and a total variance of 1.
        scores: (N,), of zero mean.
        weights: (N,), above 0: how much each image's error counts.
        units: H, a multiple of :data:`NETWORKS`.
        seed: Seed of the initial weights, the batches and the dropout.
    """
    features, targets, counts = (
        torch.from_numpy(given.astype(np.float32)) for given in (standardized, scores / scores.std(), weights)
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        fitted = [_fit_network(features, targets, counts / counts.mean(), units // NETWORKS) for _ in range(NETWORKS)]
    hidden, outputs = zip(*fitted, strict=True)
    joined = (
        torch.cat([layer.weight for layer in hidden]),
        torch.cat([layer.bias for layer in hidden]),
        torch.cat([weight * float(scores.std()) / NETWORKS for weight in outputs]),
    )
    return HiddenLayer(*(tensor.detach().double().numpy() for tensor in joined))


def _fit_network(features: Tensor, targets: Tensor, counts: Tensor, units: int) -> tuple[nn.Linear, Tensor]:
    """Return a hidden layer and the weights (units,) of its outputs."""
    hidden, output = nn.Linear(features.shape[1], units), nn.Linear(units, 1, bias=False)
    nn.init.normal_(hidden.weight)  # features have a total variance of 1, and so has what comes out
    nn.init.zeros_(output.weight)
    parameters = [*hidden.parameters(), *output.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    steps = EPOCHS * math.ceil(len(features) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(features)).split(BATCH_SIZE):
            units_on = F.dropout(hidden(F.dropout(features[batch], DROPOUT)).relu(), DROPOUT)
            errors = output(units_on).squeeze(1) - targets[batch]
            optimizer.zero_grad()
            (counts[batch] * errors.square()).mean().backward()
            optimizer.step()
            schedule.step()
    return hidden, output.weight[0]
