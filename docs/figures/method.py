"""Draw docs/_static/method.webp: from two photos to one mixed image, and what CutMix and DSMix call it.

python docs/figures/method.py
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
import torch
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle
from torch import Tensor

from dsmix_aug import DistortionBank, DSMix, sensitivity_map

OUT = Path(__file__).parent.parent / "_static" / "method.webp"
CROPS = (skimage.data.astronaut()[0:256, 96:352], skimage.data.coffee()[60:316, 150:406])
CLASSES = (("gaussian_blur", 5), ("jpeg", 1))
COLORS = ("#3b6fb6", "#d9822b")
GREY = "#666666"


def show(axes: Axes, picture: Tensor, title: str, color: str = "black") -> None:
    """Show an image (3, H, W) or a map (h, w), with a frame in the colour of its label."""
    axes.imshow(picture.permute(1, 2, 0) if picture.ndim == 3 else picture, cmap="inferno", vmin=0, vmax=0.16)
    axes.set_title(title, fontsize=10, color=color)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=2)


def show_shares(axes: Axes, rows: dict[str, list[float]], names: list[str]) -> None:
    """Draw the label of each method as one bar of two colours."""
    for height, (method, shares) in enumerate(reversed(rows.items())):
        start = 0.0
        for share, color in zip(shares, COLORS, strict=True):
            axes.barh(height, share, left=start, color=color, height=0.62)
            if share > 0.08:
                axes.text(
                    start + share / 2, height, f"{share:.0%}", ha="center", va="center", color="white", fontsize=11
                )
            start += share
        axes.text(0, height + 0.42, method, fontsize=10, va="bottom")
    axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.2))
    axes.set_axis_off()
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in COLORS]
    axes.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False, fontsize=9)


def main() -> None:
    """Distort, mix, and draw."""
    references = torch.stack([torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1) for crop in CROPS])
    bank = DistortionBank()
    classes = [bank.encode(name, level) for name, level in CLASSES]
    images, labels = bank(references, classes, generator=torch.Generator().manual_seed(0))
    maps = sensitivity_map(images, references)
    shares, mixed = {}, images
    for method, weighting in (("CutMix: share of the area", "area"), ("DSMix: share of the distortion", "mass")):
        mix = DSMix(num_classes=bank.num_classes, weighting=weighting)
        params = mix.make_params([images, maps], generator=torch.Generator().manual_seed(148))
        mixed, soft, _ = mix(images, labels, maps, generator=torch.Generator().manual_seed(148))
        shares[method] = [float(soft[0, label]) for label in classes]
    x1, y1, x2, y2 = params["box"]

    figure = plt.figure(figsize=(12.6, 5.0), layout="constrained")
    grid = figure.add_gridspec(2, 5, width_ratios=(1, 1, 1, 0.12, 1.75))
    names = [f"{name}, level {level}" for name, level in CLASSES]
    for i, color in enumerate(COLORS):
        cells = [figure.add_subplot(grid[i, column]) for column in range(3)]
        show(cells[0], references[i], "photo" if i == 0 else "another photo", GREY)
        show(cells[1], images[i], names[i], color)
        show(cells[2], maps[i].as_subclass(Tensor), "sensitivity map: where it shows", color)
        for left, right in pairwise(cells):
            figure.add_artist(
                ConnectionPatch((1.02, 0.5), (-0.02, 0.5), "axes fraction", "axes fraction", axesA=left, axesB=right,
                                arrowstyle="->", color=GREY)
            )  # fmt: skip
    right = grid[:, 4].subgridspec(2, 1, height_ratios=(1.5, 1))
    axes = figure.add_subplot(right[0])
    show(axes, mixed[0], "mixed: a box of the one in the other", COLORS[0])
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=COLORS[1], linewidth=2.5))
    show_shares(figure.add_subplot(right[1]), shares, names)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=110, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
