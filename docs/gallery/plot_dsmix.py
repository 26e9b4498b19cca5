"""
DSMix beside CutMix: labels by distortion, not by area
======================================================

Two distorted photos are mixed with the same box. CutMix weighs the two labels by area, :class:`~dsmix_aug.DSMix` by the
distortion that is visible.
"""

# %%
# A strongly blurred photo and one with a little impulse noise, which changes few pixels.
import matplotlib.pyplot as plt
import skimage.data
import torch
from matplotlib.patches import Rectangle

from dsmix_aug import DistortionBank, DSMix, Reference, sensitivity_map

crops = [skimage.data.astronaut()[0:224, 110:334], skimage.data.chelsea()[20:244, 110:334]]
references = torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) for crop in crops])
classes = (("gaussian_blur", 5), ("impulse_noise", 3))
colors = ("#3b6fb6", "#d9822b")

bank = DistortionBank()
labels = [bank.encode(*one) for one in classes]
images, labels = bank(references, labels, generator=torch.Generator().manual_seed(0))
maps = sensitivity_map(images, references)

# %%
# The same generator seed draws the same box under each weighting. ``"area"`` is CutMix; the other two are DSMix's.
titles = {
    "area": "CutMix: share of the area",
    "mass": "DSMix, mass: share of the visible distortion",
    "retained": "DSMix, retained: what survived of each",
}
shares = {}
for weighting in titles:
    mix = DSMix(num_classes=bank.num_classes, weighting=weighting)
    mixed, soft, _ = mix(images, labels, Reference(references), generator=torch.Generator().manual_seed(4))
    shares[weighting] = [float(soft[0, label]) for label in labels]
x1, y1, x2, y2 = mix.make_params([images, maps], generator=torch.Generator().manual_seed(4))["box"]

# %%
# Photos and maps to the left, the mixed image and the two shares of its label to the right.
figure = plt.figure(figsize=(9.6, 5.2), layout="constrained")
grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 0.05, 2.1))
for row, (name, level) in enumerate(classes):
    photo, heat = figure.add_subplot(grid[row, 0]), figure.add_subplot(grid[row, 1])
    photo.imshow(images[row].permute(1, 2, 0))
    photo.set_title(f"{name}, level {level}", color=colors[row], fontsize=11)
    scale = heat.imshow(maps[row], cmap="inferno", vmin=0, vmax=maps.max())
    heat.set_title(f"its map, mean {maps[row].mean():.3f}", color=colors[row], fontsize=11)
    for axes in (photo, heat):
        axes.set(xticks=[], yticks=[])
figure.colorbar(scale, cax=figure.add_subplot(grid[:, 2]), label="mean absolute difference to the photo")

right = grid[:, 3].subgridspec(2, 1, height_ratios=(1.35, 1))
axes = figure.add_subplot(right[0])
axes.imshow(mixed[0].permute(1, 2, 0))
axes.add_patch(Rectangle((x1, y1), x2 - x1 - 1, y2 - y1 - 1, fill=False, color=colors[1], linewidth=3))
axes.set_title("the mixed image", fontsize=11)
axes.set(xticks=[], yticks=[])
axes.spines[:].set(color=colors[0], linewidth=3)

axes = figure.add_subplot(right[1])
for height, (weighting, pair) in enumerate(reversed(shares.items())):
    axes.barh(height, pair[0], color=colors[0], height=0.5)
    axes.barh(height, pair[1], left=pair[0], color=colors[1], height=0.5)
    axes.text(0, height + 0.3, titles[weighting], va="bottom", fontsize=10)
    axes.text(0.01, height, f"{pair[0]:.0%}", va="center", color="white", fontsize=12, weight="bold")
    axes.text(0.99, height, f"{pair[1]:.0%}", va="center", ha="right", color="black", fontsize=12, weight="bold")
axes.set(xlim=(0, 1), ylim=(-0.4, len(shares) - 0.2))
axes.set_axis_off()
plt.show()
