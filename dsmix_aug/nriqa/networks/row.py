"""A row of a comparison, which is one compared model: the networks whose features it uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The features that one row, a compared model, uses.

    Attributes:
        title: Name in tables.
        networks: The networks whose features are joined: names of pre-trainings, several with ``+`` between them for
            the mean of their weights, ``"random"`` for the backbone with random weights, ``"teacher"`` for the config's
            teacher, or another teacher by its name, one of
            :data:`~dsmix_aug.nriqa.networks.backbones.EFFICIENTNET_LITES`.
        last_layer_only: Whether only the last feature map of each network is used.
        set_back: Whether the pre-trained weights are averaged with the initial ones, as the config's
            ``trained_share`` says.
    """

    title: str
    networks: tuple[str, ...]
    last_layer_only: bool = False
    set_back: bool = False


def averaged_names(network: str) -> list[str]:
    """Return the names of those whose weights' mean one of a row's networks is; for any other network its own name.

    Example:
        >>> averaged_names("dsmix+no_mixing")
        ['dsmix', 'no_mixing']
    """
    return network.split("+")
