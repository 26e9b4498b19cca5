"""
The 25 distortions at five levels, and their sensitivity maps
=============================================================

One photo through every type and level of :class:`~dsmix_aug.DistortionBank`, beside the distortion-induced sensitivity
map (DSM) of each result.
"""

# %%
# A photo that ships with scikit-image, cropped to 224 x 224.
import matplotlib.pyplot as plt
import skimage.data
import torch
import torch.nn.functional as F

from dsmix_aug import DistortionBank, sensitivity_map

PATCH_SIZE = 8
photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[:, 0:224, 110:334]

# %%
# Every type is asked for alone; its five levels are one batch.
bank = DistortionBank()
batch = photo.expand(5, -1, -1, -1)
levels = torch.arange(1, 6)
generator = torch.Generator().manual_seed(0)
distorted = {name: distort(batch, levels, generator=generator) for name, distort in bank.items()}
maps = {name: sensitivity_map(images, batch, PATCH_SIZE) for name, images in distorted.items()}

# %%
# Types differ a hundredfold in amplitude, so each row of maps is scaled to its own maximum, which stands at its end.
# ``mean_shift`` (level 3 is the photo itself) and ``contrast_change`` are two-sided, as published: their levels run
# from one direction to the other and do not grow in strength.
CELL, GAP = photo.shape[-1] + 6, 6


def tile(row: torch.Tensor) -> torch.Tensor:
    """Lay (5, 3, H, W) side by side, with a white gap after each and below."""
    return torch.cat(list(F.pad(row, (0, GAP, 0, GAP), value=1.0)), dim=-1)


rows = []
for name in bank:
    heat = plt.get_cmap("inferno")(maps[name] / maps[name].amax())[..., :3]
    heat = torch.from_numpy(heat).permute(0, 3, 1, 2).float()
    rows.append(torch.cat([tile(distorted[name] / 255), tile(F.interpolate(heat, scale_factor=PATCH_SIZE))], dim=-1))
picture = torch.cat(rows, dim=-2).permute(1, 2, 0).numpy()

figure, axes = plt.subplots(figsize=(13, 26.5), layout="constrained")
axes.imshow(picture)
axes.set_yticks([CELL * (i + 0.5) for i in range(len(bank))], list(bank))
axes.set_xticks(
    [CELL * (i + 0.5) for i in range(10)], [f"level {i}" for i in range(1, 6)] + [f"DSM {i}" for i in range(1, 6)]
)
axes.xaxis.tick_top()
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
for i, name in enumerate(bank):
    axes.text(picture.shape[1], CELL * (i + 0.5), f"max {maps[name].amax():.3f}", va="center")
plt.show()
