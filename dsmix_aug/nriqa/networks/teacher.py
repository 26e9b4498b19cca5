"""The ImageNet teacher whose features pre-training distils, and which is also a compared model.

timm and torchvision, which take seconds to import, are imported only for their own teachers.
"""

from __future__ import annotations

from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES, Backbone, build_backbone


def build_teacher(name: str) -> Backbone | None:
    """Return a frozen teacher in eval mode, or ``None`` for ``"none"``.

    Args:
        name: ``"efficientnet_lite0"``, ``"efficientnet_lite1"``, ``"efficientnet_lite2"``, a torchvision weights name
            such as ``"ResNet50_Weights.IMAGENET1K_V2"``, the name of a timm model that comes with weights, or
            ``"none"``.

    Raises:
        ValueError: If there is no such teacher.
    """
    check_teacher(name)
    if name == "none":
        return None
    if not is_downloaded(name) or _is_timm_model(name):
        teacher = build_backbone(name, "imagenet")
    else:
        import torchvision.models

        from dsmix_aug.nriqa.networks.torchvision_teacher import TorchvisionTeacher

        teacher = TorchvisionTeacher(torchvision.models.get_weight(name))
    return teacher.eval().requires_grad_(False)


def check_teacher(name: str) -> None:
    """Raise ``ValueError`` if there is no teacher of that name; nothing is loaded or downloaded."""
    if not is_downloaded(name):
        return
    if _is_timm_model(name):
        import timm

        if not timm.models.is_model_pretrained(name):
            raise ValueError(f"teacher: the timm model {name!r} comes without weights")
        return
    import torchvision.models

    from dsmix_aug.nriqa.networks.torchvision_teacher import model_name

    try:
        model_name(torchvision.models.get_weight(name))
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"teacher should be {', '.join(map(repr, EFFICIENTNET_LITES))}, 'none', the name of a timm model or the "
            "weights of a torchvision classifier such as 'ResNet50_Weights.IMAGENET1K_V2', "
            f"got {name!r}"
        ) from error


def is_downloaded(name: str) -> bool:
    """Tell whether a teacher's weights come from the network, unless they were downloaded before."""
    return name != "none" and name not in EFFICIENTNET_LITES


def _is_timm_model(name: str) -> bool:
    import timm

    return timm.is_model(name)


def teacher_of(network: str, teacher: str) -> str | None:
    """Return the name of the teacher that a row's network is, or ``None`` where it is the backbone.

    Args:
        network: An entry of :attr:`~dsmix_aug.nriqa.networks.row.Row.networks`.
        teacher: The config's teacher.
    """
    if network == "teacher":
        return teacher
    return network if network in EFFICIENTNET_LITES else None
