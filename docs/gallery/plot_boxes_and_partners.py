"""
A box per sample, and other partners
====================================

Like CutMix, :class:`~dsmix_aug.DSMix` draws one box for the batch and takes the sample before as the partner.
Both can be changed.
"""

# %%
# Four photos with a distortion each, and a colour for each photo.
import matplotlib.pyplot as plt
import skimage.data
import torch
from matplotlib.patches import Rectangle

from dsmix_aug import DistortionBank, DSMix, Reference, sensitivity_map

crops = [
    skimage.data.astronaut()[:256, 96:352],
    skimage.data.chelsea()[20:276, 90:346],
    skimage.data.coffee()[60:316, 150:406],
    skimage.data.rocket()[171:427, 190:446],
]
references = torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) for crop in crops])
classes = (("gaussian_blur", 4), ("white_noise", 4), ("pixelate", 4), ("jpeg", 4))
colors = ("tab:blue", "tab:orange", "tab:green", "tab:red")
bank = DistortionBank()
labels = [bank.encode(*one) for one in classes]
images, labels = bank(references, labels, generator=torch.Generator().manual_seed(0))
maps = sensitivity_map(images, references)

# %%
# ``make_params`` says what would be drawn: the boxes, the partners and the weight of each sample's own label.
settings = {
    'box="batch", partner="roll"': DSMix(num_classes=bank.num_classes),
    'box="sample", partner="roll"': DSMix(num_classes=bank.num_classes, box="sample"),
    'box="sample", partner="random"': DSMix(num_classes=bank.num_classes, box="sample", partner="random"),
}
figure, grid = plt.subplots(3, 4, figsize=(10.5, 9.2), layout="constrained")
for row, (title, mix) in zip(grid, settings.items(), strict=True):
    drawn = mix.make_params([images, maps], generator=torch.Generator().manual_seed(9))
    mixed, _, _ = mix(images, labels, Reference(references), generator=torch.Generator().manual_seed(9))
    boxes = drawn["box"] if isinstance(drawn["box"], list) else [drawn["box"]] * len(images)
    for i, axes in enumerate(row):
        (x1, y1, x2, y2), partner, own = boxes[i], drawn["partner"][i], float(drawn["lam"][i])
        axes.imshow(mixed[i].permute(1, 2, 0))
        axes.add_patch(Rectangle((x1, y1), x2 - x1 - 1, y2 - y1 - 1, fill=False, color=colors[partner], linewidth=3))
        axes.set_title(f"{own:.0%} {classes[i][0]}\n{1 - own:.0%} {classes[partner][0]}", fontsize=11)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=colors[i], linewidth=3)
    row[0].set_ylabel(title, fontsize=11)
plt.show()

# %%
# The frame of a picture has the colour of its own photo, the box that of its partner. Edges of boxes lie on the patch
# grid, so every patch of a mixed image comes from one photo. ``partner="random"`` takes any other sample, each once.
