"""Features of scored images from a frozen network, pooled alike for every row, and kept in a cache."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from dsmix_aug.nriqa.base.files import fingerprint, load_tensors, save_tensors
from dsmix_aug.nriqa.datasets.photos import read_photo, to_float
from dsmix_aug.nriqa.networks.backbones import Backbone

KIND = "dsmix_aug.Features"
SCALES = (1.0, 0.5)
#: Mean and standard deviation.
STATISTICS = 2
#: A feature map of no more variance counts as flat: the gradient of a square root has no end at 0.
FLAT_VARIANCE = 1e-30
#: Images of a shorter side below this many px are not run in bfloat16: of images 1 px wide, at full or half scale,
#: torch's convolutions on the CPU give NaN now and then.
THIN = 8
#: A batch holds so many images at most, and so many pixels unless a single image has more: a folder of camera photos
#: would not fit into memory otherwise.
BATCH_SIZE, BATCH_PIXELS = 16, 2**22


def pool_features(backbone: nn.Module, images: Tensor, last_map_only: bool = False) -> Tensor:
    """Return mean and standard deviation over each feature map, at full and half scale: (B, 4 * sum(channels)).

    Args:
        backbone: The frozen network, a :class:`~dsmix_aug.nriqa.networks.backbones.Backbone`.
        images: (B, 3, H, W), float in [0, 1].
        last_map_only: Whether only the last feature map is pooled: (B, 4 * channels[-1]).
    """
    pooled: list[Tensor] = []
    device = images.device.type
    autocast = torch.is_autocast_enabled(device) and min(images.shape[-2:]) >= THIN
    with torch.autocast(device, torch.get_autocast_dtype(device), enabled=autocast):
        for scale in SCALES:
            size = [max(1, round(length * scale)) for length in images.shape[-2:]]
            maps = backbone(images if scale == 1 else F.resize(images, size, antialias=True))
            for features in maps[-1:] if last_map_only else maps:
                pooled += mean_and_deviation(features)
    return torch.cat(pooled, dim=1)


def mean_and_deviation(features: Tensor, smallest_variance: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of feature maps (B, C, h, w): (B, C) each.

    float32, or float64 for maps of float64. Where a map is flat, the deviation is 0 and so is its gradient.

    Args:
        features: The maps.
        smallest_variance: Added to the variance; above 0 it keeps the gradient small where a map is nearly flat.
    """
    # Tensor.std over pixels of a channels-last map takes six times as long on the CPU.
    pixels = features.permute(0, 2, 3, 1).flatten(1, 2)
    pixels = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
    mean = pixels.mean(1)
    variance = (pixels - mean[:, None]).square().mean(1)
    return mean, (variance + smallest_variance).clamp(min=FLAT_VARIANCE).sqrt()


def group_widths(channels: Sequence[int]) -> list[int]:
    """Return the widths of the groups that pooled features consist of: a statistic of a map at a scale each."""
    return [width for _ in SCALES for width in channels for _ in range(STATISTICS)]


def select_last_map(features: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Return those columns of pooled features that come from the last feature map."""
    per_scale = STATISTICS * sum(channels)
    last = STATISTICS * channels[-1]
    ends = [per_scale * (number + 1) for number in range(len(SCALES))]
    return np.concatenate([features[:, end - last : end] for end in ends], axis=1)


def extract_features(
    backbone: Backbone, images: Sequence[Path], device: str, autocast: bool = False, title: str = "features"
) -> np.ndarray:
    """Return the pooled features of image files, (N, D) float32.

    Args:
        backbone: The frozen network, in eval mode, on ``device``.
        images: The files, of any sizes; neighbours of one size share a batch.
        device: Device of the network.
        autocast: Whether it runs under bfloat16 autocast.
        title: What the progress bar says.
    """
    rows = []
    with torch.no_grad(), torch.autocast(torch.device(device).type, torch.bfloat16, enabled=autocast):
        for batch in photo_batches(images, title):
            rows.append(pool_features(backbone, to_float(batch.to(device))).cpu().numpy())
    return np.concatenate(rows)


def photo_batches(photos: Sequence[Path], title: str) -> Iterator[Tensor]:
    """Read photos in their order and yield batches (B, 3, H, W) uint8; neighbours of one size share a batch.

    Args:
        photos: The files.
        title: What the progress bar says.
    """
    waiting: list[Tensor] = []
    for path in tqdm(photos, title, unit="image"):
        photo = read_photo(path)
        full = min(BATCH_SIZE, BATCH_PIXELS // photo[0].numel())
        if waiting and (len(waiting) >= full or photo.shape != waiting[0].shape):
            yield torch.stack(waiting)
            waiting = []
        waiting.append(photo)
    if waiting:
        yield torch.stack(waiting)


def cached_features(
    backbone: Backbone, images: Sequence[Path], data_key: str, folder: Path, device: str, autocast: bool, title: str
) -> np.ndarray:
    """Return :func:`extract_features`, from ``folder`` where the same network has met the same images before.

    A damaged file is extracted again, with a warning.
    """
    name = fingerprint(weights_fingerprint(backbone), data_key, autocast, *SCALES)
    path = folder / f"{name}.safetensors"
    if path.is_file():
        try:
            return load_tensors(path, KIND)[1]["features"].numpy()
        except (ValueError, KeyError) as error:
            warnings.warn(f"{error}; the features are extracted again", stacklevel=2)
    features = extract_features(backbone, images, device, autocast, title)
    save_tensors(path, KIND, title, {"features": torch.from_numpy(features)})
    return features


def weights_fingerprint(module: nn.Module) -> str:
    """Return a hash of a module's structure, weights and buffers."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
