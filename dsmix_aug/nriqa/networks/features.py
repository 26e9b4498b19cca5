"""Features of scored images from a frozen network, pooled in the same way for every model, and kept in a cache."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dsmix_aug._progress import track
from dsmix_aug._resize import interpolate
from dsmix_aug.nriqa.base.devices import bfloat16_autocast, is_fast_in_bfloat16
from dsmix_aug.nriqa.base.files import fingerprint, load_tensors, save_tensors
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.photos.reader import read_photo, to_float

KIND = "dsmix_aug.Features"
SCALES = (1.0, 0.5)
#: Mean and standard deviation.
STATISTICS = 2
#: A feature map of no more variance counts as flat: the gradient of a square root is infinite at 0.
FLAT_VARIANCE = 1e-30
#: Images of a shorter side below this many px run in float32: bfloat16 convolutions of maps that are 1 px wide give NaN
#: now and then on the CPU.
SMALLEST_AUTOCAST_SIDE = 64
#: Upper bounds of a batch, so that a folder of camera photos fits into memory; one image may exceed that of pixels. The
#: CPU's is one image of 512x512 px: larger feature maps leave its caches, and the system clears their memory each time.
BATCH_SIZE, CPU_BATCH_PIXELS, GPU_BATCH_PIXELS = 16, 2**18, 2**22
#: A photo of more pixels than a tile with its margins is scored in tiles: their side in px, and how much of their
#: surroundings they are given on each side. Both are multiples of every stride.
TILE, MARGIN = 1024, 128


def pool_features(backbone: nn.Module, images: Tensor, last_map_only: bool = False) -> Tensor:
    """Return mean and standard deviation over each feature map, at full and half scale: (B, 4 * sum(channels)).

    Args:
        backbone: The frozen network, a :class:`~dsmix_aug.nriqa.networks.backbones.Backbone`.
        images: (B, 3, H, W), float in [0, 1].
        last_map_only: Whether only the last feature map is pooled: (B, 4 * channels[-1]).
    """
    pooled: list[Tensor] = []
    device = images.device.type
    autocast = torch.is_autocast_enabled(device) and min(images.shape[-2:]) >= SMALLEST_AUTOCAST_SIDE
    with torch.autocast(device, torch.get_autocast_dtype(device), enabled=autocast):
        for scale in SCALES:
            maps = backbone(_scale(images, scale))
            for features in maps[-1:] if last_map_only else maps:
                pooled += mean_and_deviation(features)
    return torch.cat(pooled, dim=1)


def pool_photo(backbone: Backbone, photo: Tensor, last_map_only: bool = False) -> Tensor:
    """Return :func:`pool_features` of one photo (3, H, W) uint8, (1, D), in memory that does not grow with the photo.

    A photo larger than a tile goes through the network in tiles, if the network allows it. Feature maps are then those
    of the whole photo but near the tiles' edges, where the network sees :data:`MARGIN` px and not all of the photo; and
    the photo at half scale is rounded to whole levels.

    Args:
        backbone: As for :func:`pool_features`.
        photo: The photo, on the network's device.
        last_map_only: As for :func:`pool_features`.
    """
    if backbone.strides is None or photo[0].numel() <= (TILE + 2 * MARGIN) ** 2:
        return pool_features(backbone, to_float(photo[None]), last_map_only)
    pooled = [_pool_tiles(backbone, _scale(photo[None], scale)[0], last_map_only) for scale in SCALES]
    return torch.cat(pooled).float()[None]


def _scale(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    size = [max(1, round(length * scale)) for length in images.shape[-2:]]
    return interpolate(images, size, "bilinear")


def _pool_tiles(backbone: Backbone, photo: Tensor, last_map_only: bool) -> Tensor:
    """Return mean and deviation over each feature map of a photo (3, H, W) uint8, by tiles: (2 * sum(channels),)."""
    height, width = photo.shape[-2:]
    corners = [(top, left) for top in range(0, height, TILE) for left in range(0, width, TILE)]
    tiles = [_tile_statistics(backbone, photo, corner, last_map_only) for corner in corners]
    pooled = []
    for of_one_map in zip(*tiles, strict=True):
        sizes, means, deviations = map(torch.stack, zip(*of_one_map, strict=True))
        shares = (sizes / sizes.sum())[:, None]
        mean = (shares * means).sum(0)
        pooled += [mean, (shares * (deviations.square() + (means - mean).square())).sum(0).sqrt()]
    return torch.cat(pooled)


def _tile_statistics(
    backbone: Backbone, photo: Tensor, corner: tuple[int, int], last_map_only: bool
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the pixels, the mean (C,) and the deviation (C,) of that part of each feature map that a tile covers."""
    assert backbone.strides is not None
    starts = [max(0, start - MARGIN) for start in corner]
    rows, columns = (slice(begin, start + TILE + MARGIN) for begin, start in zip(starts, corner, strict=True))
    maps = backbone(to_float(photo[None, :, rows, columns]))
    statistics = []
    for features, stride in list(zip(maps, backbone.strides, strict=True))[-1 if last_map_only else 0 :]:
        inside = [
            slice((start - begin) // stride, (start - begin + TILE) // stride)
            for begin, start in zip(starts, corner, strict=True)
        ]
        covered = features[:, :, inside[0], inside[1]]
        mean, deviation = mean_and_deviation(covered)
        statistics.append((torch.tensor(covered[0, 0].numel()), mean[0].double(), deviation[0].double()))
    return statistics


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
    """Return the number of columns of pooled features for each scale, map and statistic."""
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
        autocast: Whether it runs under bfloat16 autocast, on devices that are faster with it.
        title: What the progress bar says.
    """
    rows = []
    backbone = backbone.folded()
    with torch.no_grad(), bfloat16_autocast(device, autocast):
        pixels = CPU_BATCH_PIXELS if torch.device(device).type == "cpu" else GPU_BATCH_PIXELS
        for batch in photo_batches(images, title, pixels):
            rows.append(pool_features(backbone, to_float(batch.to(device))).cpu().numpy())
    return np.concatenate(rows)


def photo_batches(photos: Sequence[Path], title: str, pixels: int) -> Iterator[Tensor]:
    """Read photos in their order and yield batches (B, 3, H, W) uint8; neighbours of one size share a batch.

    Args:
        photos: The files.
        title: What the progress bar says.
        pixels: Upper bound of a batch's pixels, unless it is one photo.
    """
    waiting: list[Tensor] = []
    for path in track(photos, title, "images"):
        photo = read_photo(path)
        full = min(BATCH_SIZE, pixels // photo[0].numel())
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
    rounded = autocast and is_fast_in_bfloat16(device)
    name = fingerprint(weights_fingerprint(backbone), data_key, rounded, *SCALES)
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
