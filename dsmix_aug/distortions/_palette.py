"""Colour palettes: one that fits an image, and an image dithered to one; on the host, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

Side = tuple[int, int]
Box = tuple[Side, Side, Side]

BITS = 5
CELLS = 2**BITS


@dataclass(frozen=True, eq=False)
class Cut:
    """A box of colours, the sums over its pixels and the plane that splits it best."""

    box: Box
    #: Number of pixels and their summed red, green and blue.
    sums: np.ndarray
    #: The reduction of the squared error by the split; 0 if the box cannot be split.
    gain: float
    axis: int
    position: int


def fit_palette(image: np.ndarray, num_colors: int) -> np.ndarray:
    """Find a palette of small squared error: split boxes of colours where that lowers the error most.

    Boxes are bounded on a grid of 5 bits per channel; a colour of the palette is the mean of the pixels in its box.

    Args:
        image: (H, W, 3) uint8.
        num_colors: The most colours to return; an image with fewer occupied cells of the grid gets fewer.

    Returns:
        (n, 3) float64 in [0, 255].

    Source: after Wu, "Efficient Statistical Computations for Optimal Color Quantization", Graphics Gems II, 1991; but
    the box to split next is the one whose split gains most, not the one of largest variance.
    """
    moments = _cumulative_moments(image)
    by_axis = [np.moveaxis(moments, axis, 0) for axis in range(3)]
    cuts = [_best_cut(by_axis, ((0, CELLS), (0, CELLS), (0, CELLS)))]
    while len(cuts) < num_colors:
        cut = max(cuts, key=lambda cut: cut.gain)
        if cut.gain <= 0:
            break
        cuts.remove(cut)
        low, high = cut.box[cut.axis]
        for side in ((low, cut.position), (cut.position, high)):
            box = list(cut.box)
            box[cut.axis] = side
            cuts.append(_best_cut(by_axis, (box[0], box[1], box[2])))
    sums = np.stack([cut.sums for cut in cuts])
    return sums[:, 1:] / sums[:, :1]


def dither(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return for each pixel the index of its palette colour, the error diffused to its neighbours (Floyd-Steinberg).

    Args:
        image: (H, W, 3) uint8.
        palette: (n, 3) in [0, 255], n <= 256; rounded to whole numbers for the dither.

    Returns:
        (H, W) uint8.
    """
    holder = Image.new("P", (1, 1))
    holder.putpalette(np.rint(palette).astype(np.uint8).tobytes())
    return np.asarray(Image.fromarray(image).quantize(palette=holder, dither=Image.Dither.FLOYDSTEINBERG))


def _cumulative_moments(image: np.ndarray) -> np.ndarray:
    """Return the number of pixels and their summed channels below each corner of the grid: (33, 33, 33, 4)."""
    channels = np.ascontiguousarray(image.reshape(-1, 3).T)
    red, green, blue = (channels >> (8 - BITS)).astype(np.int64)
    cell = (red << BITS | green) << BITS | blue
    moments = torch.zeros((CELLS + 1,) * 3 + (4,), dtype=torch.float64, device="cpu")
    grid = moments.numpy()[1:, 1:, 1:]
    for i, weights in enumerate((None, *channels)):
        grid[..., i] = np.bincount(cell, weights, CELLS**3).reshape(grid.shape[:3])
    for axis in range(3):
        torch.cumsum(moments, axis, out=moments)  # several times as fast as NumPy's
    return moments.numpy()


def _best_cut(by_axis: Sequence[np.ndarray], box: Box) -> Cut:
    """Find the plane that splits the box best, from the cumulative moments with each axis in front."""
    red, green, blue = box
    slabs = [
        _sums_below(by_axis[0], red, green, blue),
        _sums_below(by_axis[1], green, red, blue),
        _sums_below(by_axis[2], blue, red, green),
    ]
    whole = slabs[0][-1]
    below = np.concatenate(slabs)
    gains = _energy(below) + _energy(whole - below)
    best = int(gains.argmax())
    gain = gains[best] - _energy(whole)
    axis = 0
    while best >= len(slabs[axis]):
        best -= len(slabs[axis])
        axis += 1
    return Cut(box, whole, float(gain), axis, box[axis][0] + 1 + best)


def _sums_below(moments: np.ndarray, side: Side, second: Side, third: Side) -> np.ndarray:
    """Return the sums over the part of a box below each plane across its first side, the whole box last."""
    (low, high), (a, b), (c, d) = side, second, third
    planes = moments[low : high + 1]
    sums = planes[:, b, d] - planes[:, a, d] - planes[:, b, c] + planes[:, a, c]
    return sums[1:] - sums[0]


def _energy(sums: np.ndarray) -> np.ndarray:
    """Return weight x squared mean: the sum of squared values if every pixel is replaced by the mean."""
    channels = sums[..., 1:]
    return np.einsum("...i,...i->...", channels, channels) / np.maximum(sums[..., 0], 1)
