"""The ImageNet teacher whose features pre-training distils, and which is also a compared model."""

from __future__ import annotations

import timm
import torchvision.models
from torch import Tensor, nn
from torchvision.models import MaxVit, VisionTransformer, WeightsEnum
from torchvision.transforms.v2 import functional as F

from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES, Backbone, build_backbone

#: Models that only accept their training resolution; their input is resized to it.
FIXED_SIZE_MODELS = (VisionTransformer, MaxVit)


class TorchvisionTeacher(Backbone):
    """A torchvision classifier with its weights (downloaded by torchvision): the input of its last linear layer."""

    def __init__(self, weights: WeightsEnum) -> None:
        preset = weights.transforms()
        super().__init__(tuple(preset.mean), tuple(preset.std))
        self.network = torchvision.models.get_model(_model_name(weights), weights=weights)
        self.fixed_size = preset.crop_size * 2 if isinstance(self.network, FIXED_SIZE_MODELS) else None
        linear = [name for name, module in self.network.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ValueError(f"teacher: {weights} has no linear layer to take the features before")
        self.channels = (self.network.get_submodule(linear[-1]).in_features,)
        parent, _, leaf = linear[-1].rpartition(".")
        setattr(self.network.get_submodule(parent), leaf, nn.Identity())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one feature map of one pixel."""
        if self.fixed_size:
            images = F.resize(images, self.fixed_size, antialias=True)
        return [self.network(self.normalize(images)).unflatten(1, (-1, 1, 1))]


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
    if "." not in name or timm.is_model(name):
        teacher = build_backbone(name, "imagenet")
    else:
        teacher = TorchvisionTeacher(torchvision.models.get_weight(name))
    return teacher.eval().requires_grad_(False)


def check_teacher(name: str) -> None:
    """Raise ``ValueError`` if there is no teacher of that name; nothing is loaded or downloaded."""
    if not is_downloaded(name):
        return
    if timm.is_model(name):
        if not timm.models.is_model_pretrained(name):
            raise ValueError(f"teacher: the timm model {name!r} comes without weights")
        return
    try:
        _model_name(torchvision.models.get_weight(name))
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"teacher should be {', '.join(map(repr, EFFICIENTNET_LITES))}, 'none', the name of a timm model or the "
            "weights of a torchvision classifier such as 'ResNet50_Weights.IMAGENET1K_V2', "
            f"got {name!r}"
        ) from error


def is_downloaded(name: str) -> bool:
    """Tell whether a teacher's weights come from the network, unless they were downloaded before."""
    return name != "none" and name not in EFFICIENTNET_LITES


def _model_name(weights: WeightsEnum) -> str:
    for name in torchvision.models.list_models(module=torchvision.models):
        if torchvision.models.get_model_weights(name) is type(weights):
            return name
    raise ValueError(f"{weights} belongs to no classifier")
