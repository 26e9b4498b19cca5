"""Teachers from torchvision: any of its classifiers that has weights."""

from __future__ import annotations

import torchvision.models
from torch import Tensor, nn
from torchvision.models import MaxVit, VisionTransformer, WeightsEnum
from torchvision.transforms.v2 import functional as F

from dsmix_aug.nriqa.networks.backbones import Backbone

#: Models that only accept their training resolution; their input is resized to it.
FIXED_SIZE_MODELS = (VisionTransformer, MaxVit)


class TorchvisionTeacher(Backbone):
    """A torchvision classifier with its weights (downloaded by torchvision): the input of its last linear layer."""

    def __init__(self, weights: WeightsEnum) -> None:
        preset = weights.transforms()
        super().__init__(tuple(preset.mean), tuple(preset.std))
        self.network = torchvision.models.get_model(model_name(weights), weights=weights)
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


def model_name(weights: WeightsEnum) -> str:
    """Return the name of the classifier that weights belong to.

    Raises:
        ValueError: If they belong to no classifier.
    """
    for name in torchvision.models.list_models(module=torchvision.models):
        if torchvision.models.get_model_weights(name) is type(weights):
            return name
    raise ValueError(f"{weights} belongs to no classifier")
