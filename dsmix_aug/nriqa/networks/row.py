"""A row of a comparison: whose features it uses."""

from __future__ import annotations

from dataclasses import dataclass

from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES


@dataclass(frozen=True)
class Row:
    """Whose features one row uses.

    Attributes:
        title: Name in tables.
        networks: The networks whose features are joined: names of pre-trainings, ``"random"`` for the backbone with
            random weights, ``"teacher"`` for the config's teacher, or another teacher by its name, one of
            :data:`~dsmix_aug.nriqa.networks.backbones.EFFICIENTNET_LITES`.
        last_layer_only: Whether only the last feature map of each network is used.
    """

    title: str
    networks: tuple[str, ...]
    last_layer_only: bool = False


def teacher_of(network: str, teacher: str) -> str | None:
    """Return the name of the teacher that a row's network is, or ``None`` where it is the backbone.

    Args:
        network: An entry of :attr:`Row.networks`.
        teacher: The config's teacher.
    """
    if network == "teacher":
        return teacher
    return network if network in EFFICIENTNET_LITES else None
