"""The DSM estimator: a vision transformer that predicts a sensitivity map where no reference is known."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug._checks import check_integer, check_network_input
from dsmix_aug._files import Header, read_header, save_tensors
from dsmix_aug.weights import OLDEST_FORMAT, check_tensors, find_weights, fits, read_weights

_KIND = "dsmix_aug.DSMEstimator"
#: The sizes of an estimator, and how large they may be in a file, which may come from anybody.
_LARGEST = {"patch_size": 1024, "embed_dim": 8192, "depth": 128, "num_heads": 128}
#: About the mean of a DSM over the bank's distortions, so that an untrained estimator starts near the data.
_INITIAL_DSM = 0.03
_CELL_CHANNELS = 64
_TONE_CHANNELS = 32
#: Floor of a tone's relative frequency; keeps log(0) finite.
_RAREST_TONE = 0.03
#: About the mean and standard deviation of an image's values, and the deviation of the steps between neighbours.
_MEAN, _SCALE, _STEP_SCALE = 0.5, 0.25, 0.025


class DSMEstimator(nn.Module):
    """Predict the distortion-induced sensitivity map (DSM) of an image without its reference.

    A vision transformer: each patch becomes a token, tokens attend to one another, and a linear layer turns each into
    the DSM of its patch. A patch is embedded by two convolutions (cells of 4x4 px, then the cells of the patch)
    instead of one. Besides pixels they see the magnitudes of the steps between neighbouring pixels, because noise, blur
    and blocks are not linear in the pixels. Each token is also told the image's histograms, where a change of
    tone leaves gaps and peaks. Position embeddings are sines and cosines of the patch's row and column, so that every
    image size works; a partial last row or column of patches is filled by repeating the border pixels.

    Called with images of shape (B, 3, H, W), float in [0, 1], of any size, it returns the predicted map of shape
    (B, ceil(H / patch_size), ceil(W / patch_size)), non-negative, in the dtype of the weights (autocast included):
    the layout of :func:`~dsmix_aug.sensitivity_map`, its training target.

    Args:
        patch_size: Side of a patch in px; one value of the map each.
        embed_dim: Width of the tokens, a multiple of 4 and of ``num_heads``.
        depth: Number of transformer blocks.
        num_heads: Attention heads per block.

    Raises:
        TypeError: If a size is not an integer; on a call, if ``images`` is not a floating point tensor.
        ValueError: If a size is out of its range; on a call, if ``images`` has another shape, lies on another device
            or has, on the CPU, values outside [0, 1] or NaN.

    Source: Shi, Gao, Peng, Qin, "DSMix", ECCV 2024, for what it predicts and from what; the sizes are ours.

    Example:
        >>> import torch
        >>> from dsmix_aug import DSMEstimator
        >>> estimator = DSMEstimator(patch_size=16, embed_dim=64, depth=2, num_heads=2).eval()
        >>> estimator(torch.rand(2, 3, 100, 64)).shape
        torch.Size([2, 7, 4])
    """

    def __init__(self, patch_size: int = 16, embed_dim: int = 192, depth: int = 6, num_heads: int = 3) -> None:
        super().__init__()
        self.config = _checked_config(patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads)
        patch_size, embed_dim, depth, num_heads = self.config.values()
        self.patch_size = patch_size
        self.embed_dim = embed_dim
        cell = math.gcd(patch_size, 4)
        cells = patch_size // cell
        self.patch_embed = nn.Sequential(
            nn.Conv2d(9, _CELL_CHANNELS, kernel_size=cell, stride=cell),
            nn.GELU(),
            nn.Conv2d(_CELL_CHANNELS, embed_dim, kernel_size=cells, stride=cells),
        )
        self.tone_embed = _ToneEmbedding(embed_dim)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                embed_dim,
                num_heads,
                dim_feedforward=4 * embed_dim,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.head = nn.Linear(embed_dim, 1)
        nn.init.constant_(self.head.bias, math.log(math.expm1(_INITIAL_DSM)))  # softplus turns it into _INITIAL_DSM

    def extra_repr(self) -> str:
        """Return the sizes that make the object."""
        return ", ".join(f"{key}={value}" for key, value in self.config.items())

    def forward(self, images: Tensor) -> Tensor:
        """Predict the map of each image; see the class for shapes and errors."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the normalised tokens on their grid, (B, ceil(H / p), ceil(W / p), embed_dim), for probing."""
        check_network_input(images, self.head.weight.device)
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size), mode="replicate")
        tokens = self.patch_embed(_with_steps(padded.to(self.head.weight.dtype)))
        rows, columns = tokens.shape[-2:]
        tokens = tokens.flatten(2).transpose(1, 2) + position_embedding(rows, columns, self.embed_dim, tokens)
        tokens = tokens + self.tone_embed(_histograms(padded).to(self.head.weight.dtype)).unsqueeze(1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).unflatten(1, (rows, columns))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the map, (B, rows, columns), of the tokens of :meth:`forward_features`."""
        return F.softplus(self.head(features).squeeze(-1).to(self.head.weight.dtype))

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write weights, sizes and a checksum to one safetensors file.

        The file appears complete or not at all. Its folder is made if it is missing.

        Args:
            path: A path that ends in ``.safetensors``.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If ``path`` ends otherwise.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ValueError(f"path should end in .safetensors, got {path}")
        save_tensors(path, _KIND, self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str]) -> DSMEstimator:
        """Read an estimator that :meth:`save_pretrained` wrote, or one that ships with the package.

        The file may come from anybody. Only safetensors files are read, as a pickle can run code when it is loaded,
        and sizes and shapes are checked before anything is allocated.

        Args:
            name_or_path: The name of weights that ship with the package, or the path of a ``.safetensors`` file.

        Returns:
            The estimator on the CPU, in eval mode.

        Raises:
            FileNotFoundError: If there is no such file, or no weights of that name; names what there is.
            ValueError: If the file is a pickle, is damaged (files and shipped weights have checksums), was written by a
                newer version, holds something else, a size above its limit or a value that is not finite.
        """
        path = find_weights("dsm_estimator", name_or_path)
        header = read_header(path, _KIND, OLDEST_FORMAT)
        with fits(path, "DSMEstimator"):
            _check_stored(header)
            with torch.device("meta"):  # the file's tensors become the parameters; none is made before
                estimator = cls(**header.description)
            check_tensors(header, estimator.state_dict())
        estimator.load_state_dict(read_weights(path, _KIND), assign=True)
        return estimator.eval()


class _ToneEmbedding(nn.Sequential):
    """Embed the histograms of an image, (B, 3, 256) to (B, embed_dim): which tones are missing, which doubled."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__(
            nn.Conv1d(3, _TONE_CHANNELS, kernel_size=9, padding=4),
            nn.GELU(),
            nn.Conv1d(_TONE_CHANNELS, _TONE_CHANNELS, kernel_size=8, stride=4, padding=2),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(_TONE_CHANNELS * 256 // 4, embed_dim),
        )


def _histograms(images: Tensor) -> Tensor:
    """Return the logarithm of how often each of 256 tones occurs, relative to the mean; (B, 3, 256), float32."""
    tones = (images.detach().float() * 255).round().long().clamp(0, 255).flatten(2)
    counts = torch.zeros(*tones.shape[:2], 256, dtype=torch.float32, device=images.device)
    counts.scatter_add_(2, tones, counts.new_ones(()).expand_as(tones))
    return (counts / counts.mean(2, keepdim=True) + _RAREST_TONE).log()


def _with_steps(images: Tensor) -> Tensor:
    """Return normalised images with the magnitudes of their horizontal and vertical steps, (B, 9, H, W)."""
    across = F.pad((images[..., :, 1:] - images[..., :, :-1]).abs(), (0, 1, 0, 0))
    down = F.pad((images[..., 1:, :] - images[..., :-1, :]).abs(), (0, 0, 0, 1))
    return torch.cat([(images - _MEAN) / _SCALE, across / _STEP_SCALE, down / _STEP_SCALE], dim=1)


def position_embedding(rows: int, columns: int, embed_dim: int, like: Tensor) -> Tensor:
    """Return sines and cosines of each patch's row and column, (rows * columns, embed_dim), in ``like``'s dtype.

    Half of the channels encode the row and half the column, at wavelengths from 2 pi to 20,000 pi patches.
    """
    count = embed_dim // 4
    frequencies = 10000.0 ** (-torch.arange(count, device=like.device, dtype=torch.float32) / count)
    angles = [
        torch.arange(length, device=like.device, dtype=torch.float32).unsqueeze(1) * frequencies
        for length in (rows, columns)
    ]
    row, column = (torch.cat([angle.sin(), angle.cos()], dim=1) for angle in angles)
    grid = torch.cat(
        [row.unsqueeze(1).expand(rows, columns, -1), column.unsqueeze(0).expand(rows, columns, -1)], dim=-1
    )
    return grid.flatten(0, 1).to(like.dtype)


def _checked_config(**config: object) -> dict[str, int]:
    checked = {name: check_integer(name, value) for name, value in config.items()}
    embed_dim, num_heads = checked["embed_dim"], checked["num_heads"]
    if embed_dim % 4:
        raise ValueError(f"embed_dim should be a multiple of 4 (sine and cosine of row and column), got {embed_dim}")
    if embed_dim % num_heads:
        raise ValueError(f"embed_dim should be a multiple of num_heads, got {embed_dim} and {num_heads}")
    return checked


def _check_stored(header: Header) -> None:
    """Refuse a file's sizes before anything is made of them, and tensors that would not go together."""
    config = header.description
    if not isinstance(config, dict) or set(config) != set(_LARGEST):
        raise ValueError(f"its sizes should be {', '.join(_LARGEST)}, got {str(config)[:200]}")
    _checked_config(**config)
    for name, limit in _LARGEST.items():
        if config[name] > limit:
            raise ValueError(f"{name} should be at most {limit} in a file, got {config[name]}")
    dtypes = {"F32" if dtype == "F16" else dtype for dtype, _ in header.tensors.values()}
    if len(dtypes) > 1:
        raise ValueError(f"its tensors should have one dtype, got {', '.join(sorted(dtypes))}")
