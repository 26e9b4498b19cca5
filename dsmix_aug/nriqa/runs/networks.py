"""The networks of a run: how a backbone starts, and how the frozen networks of a row are put together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dsmix_aug.nriqa.base.files import load_tensors
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone
from dsmix_aug.nriqa.networks.teacher import build_teacher, teacher_of
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, Pretraining

#: Of the file of a pre-trained backbone.
KIND = "dsmix_aug.Backbone"


def initial_weights(config: Config, pretraining: Pretraining) -> Literal["imagenet", "random"]:
    """Return what a pre-training starts from."""
    return "random" if pretraining.from_scratch else config.initial_weights


def new_backbone(config: Config, weights: str) -> Backbone:
    """Return the backbone with ImageNet's weights, or with random ones that are the same for every pre-training."""
    torch.manual_seed(derive_seed(config.seed, "pretrain", "initial weights"))
    return build_backbone(config.backbone, weights)


def build_network(config: Config, name: str, pretrained: Path, share: float) -> Backbone:
    """Return one network of a row, frozen and in eval mode.

    Args:
        config: The run's config.
        name: One of a row's networks, see :class:`~dsmix_aug.nriqa.networks.row.Row`.
        pretrained: The file of the weights of that pre-training.
        share: How much of the pre-training is kept, see :func:`interpolate_weights`.
    """
    teacher_name = teacher_of(name, config.teacher)
    if teacher_name is not None:
        teacher = build_teacher(teacher_name)
        assert teacher is not None  # rows_of leaves such rows out where there is no teacher
        return teacher
    backbone = new_backbone(config, "random")
    if name in PRETRAININGS:
        _, state = load_tensors(pretrained, KIND)
        start = initial_weights(config, PRETRAININGS[name])
        if start != "random" and share < 1:
            state = interpolate_weights(new_backbone(config, start).state_dict(), state, share)
        backbone.load_state_dict(state)
    return backbone.eval().requires_grad_(False)


def average_networks(networks: Sequence[Backbone]) -> Backbone:
    """Return a network with the mean of the weights of others that started from the same weights.

    Batch norms' statistics are averaged too; their counters are the first one's. It knows what each of them learned, at
    the cost of one.

    Source: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
    increasing inference time", ICML 2022.
    """
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }
    averaged = copy.deepcopy(networks[0])
    averaged.load_state_dict(mean)
    return averaged


def interpolate_weights(initial: dict[str, Tensor], trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return share * trained + (1 - share) * initial, batch norms' statistics included; their counters are trained's.

    Features trained on synthetic distortions respond unpredictably to anything else. Averaged with the initial weights,
    the network keeps most of what it learned and responds to the rest as before.

    Args:
        initial: ``state_dict()`` of a network before it was trained.
        trained: The same after that.
        share: In [0, 1].

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, equation 1.
    """
    return {
        name: initial[name].lerp(tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in trained.items()
    }
