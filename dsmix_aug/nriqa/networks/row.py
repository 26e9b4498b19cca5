"""A row of a comparison, which is one compared model: the networks it uses and how their features are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES, Backbone
from dsmix_aug.nriqa.networks.features import group_widths, select_last_map


@dataclass(frozen=True)
class Row:
    """The features that one row, a compared model, uses.

    Attributes:
        title: Name in tables.
        networks: The networks whose features are joined: names of pre-trainings, ``"random"`` for the backbone with
            random weights, ``"teacher"`` for the config's teacher, or another teacher by its name, one of
            :data:`~dsmix_aug.nriqa.networks.backbones.EFFICIENTNET_LITES`.
        last_layer_only: Whether only the last feature map of each network is used.
        set_back: Whether the pre-trained weights are averaged with the initial ones, as the config's
            ``trained_share`` says.
    """

    title: str
    networks: tuple[str, ...]
    last_layer_only: bool = False
    set_back: bool = False


def teacher_of(network: str, teacher: str) -> str | None:
    """Return the name of the teacher that a row's network is, or ``None`` where it is the backbone.

    Args:
        network: An entry of :attr:`Row.networks`.
        teacher: The config's teacher.
    """
    if network == "teacher":
        return teacher
    return network if network in EFFICIENTNET_LITES else None


def join_features(
    row: Row, networks: Sequence[Backbone], features: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[int]]:
    """Return a row's features of N images, (N, D), and the widths of their groups.

    Args:
        row: The row.
        networks: Its networks.
        features: The pooled features of the images from each of the networks.
    """
    columns, widths = [], []
    for network, pooled in zip(networks, features, strict=True):
        channels = network.channels
        if row.last_layer_only:
            pooled, channels = select_last_map(pooled, channels), channels[-1:]
        columns.append(pooled)
        widths += group_widths(channels)
    return np.concatenate(columns, axis=1), widths
