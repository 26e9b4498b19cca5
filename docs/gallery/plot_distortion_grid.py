"""
The 25 distortions at five levels
=================================

One photo through every type and level of :class:`~dsmix_aug.DistortionBank`, and the distortion-induced sensitivity map
(DSM) of each result.
"""

# %%
# A photo that ships with scikit-image. The five levels of a type are one batch.
import matplotlib.pyplot as plt
import skimage.data
import torch
from torchvision.utils import make_grid

from dsmix_aug import DistortionBank, sensitivity_map

photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[:, 0:224, 110:334]
bank = DistortionBank()
batch = photo.expand(5, -1, -1, -1)
levels = torch.arange(1, 6)
generator = torch.Generator().manual_seed(0)
distorted = {name: distort(batch, levels, generator=generator) for name, distort in bank.items()}


# %%
# Every cell shows 128 x 96 px of the photo, so that small errors can be seen too. ``mean_shift`` (level 3 is the photo
# itself) and ``contrast_change`` are two-sided, as published: their levels run from one direction to the other and do
# not grow in strength.
def show_table(cells: torch.Tensor, row_notes: list[str]) -> None:
    """Draw images (125, 3, H, W), float in [0, 1], as a row for each type and a column for each level."""
    height, width = cells.shape[-2] + 4, cells.shape[-1] + 4
    _, axes = plt.subplots(figsize=(11, 26), layout="constrained")
    axes.imshow(make_grid(cells, nrow=5, padding=4, pad_value=1).permute(1, 2, 0))
    axes.set_yticks([height * (i + 0.5) for i in range(len(bank))], list(bank), fontsize=12)
    axes.set_xticks([width * (i + 0.5) for i in range(5)], [f"level {i}" for i in range(1, 6)], fontsize=12)
    for i, note in enumerate(row_notes):
        axes.text(5 * width + 8, height * (i + 0.5), note, va="center", fontsize=11)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    plt.show()


cells = torch.cat([images[:, :, 24:120, 56:184] for images in distorted.values()])
show_table(cells / 255, row_notes=[])

# %%
# The maps say where the pixels changed. Types differ a hundredfold in amplitude, so each row is scaled to its own
# maximum, which is written at its end.
maps = torch.stack([sensitivity_map(images, batch, 8) for images in distorted.values()])
highest = maps.amax((1, 2, 3), keepdim=True)
heat = torch.from_numpy(plt.get_cmap("inferno")(maps / highest)[..., :3]).flatten(0, 1)
heat = heat.permute(0, 3, 1, 2)[..., 3:15, 7:23].repeat_interleave(8, -2).repeat_interleave(8, -1)
show_table(heat, row_notes=[f"max {value:.3f}" for value in highest.flatten()])

# %%
# All types at level 4, from ``gaussian_blur`` at the top left to ``contrast_change`` at the bottom right.
_, axes = plt.subplots(figsize=(9, 7), layout="constrained")
axes.imshow(make_grid(cells[3::5], nrow=5, padding=4, pad_value=255).permute(1, 2, 0))
axes.set_axis_off()
plt.show()

# sphinx_gallery_thumbnail_number = 3
