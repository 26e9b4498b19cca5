"""
How bad each class looks to people
==================================

One photo through every type and level of :class:`~dsmix_aug.DistortionBank`, beside the mean opinion of KADID-10k's
observers of that class, from 1 (bad) to 5 (excellent).
"""

# %%
# A photo that ships with scikit-image, cropped to 224 x 224. Every type is asked for by itself; its five levels are one
# batch.
import matplotlib.pyplot as plt
import skimage.data
import torch
import torch.nn.functional as F

from dsmix_aug import DistortionBank

photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[:, 0:224, 110:334]
bank = DistortionBank()
generator = torch.Generator().manual_seed(0)
rows = []
for distort in bank.values():
    images = distort(photo.expand(5, -1, -1, -1), torch.arange(1, 6), generator=generator) / 255
    smaller = F.interpolate(F.pad(images, (0, 8, 0, 8), value=1.0), scale_factor=0.25, mode="area")
    rows.append(torch.cat(list(smaller), dim=-1))
picture = torch.cat(rows, dim=-2).permute(1, 2, 0).numpy()

# %%
# The opinion of a type at a level is that of its class; the four levels that change nothing share the pristine class.
opinions = torch.stack([bank.opinion_scores[[bank.encode(name, level) for level in range(1, 6)]] for name in bank])

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 16), layout="constrained")
cell = picture.shape[0] / len(bank)
left.imshow(picture)
left.set_yticks([cell * (i + 0.5) for i in range(len(bank))], list(bank))
left.set_xticks([cell * (i + 0.5) for i in range(5)], [f"level {i}" for i in range(1, 6)])
heat = right.imshow(opinions.numpy(), vmin=1, vmax=5, cmap="RdYlGn")
right.set_xticks(range(5), [f"level {i}" for i in range(1, 6)])
right.set_yticks([])
for row, scores in enumerate(opinions.tolist()):
    for column, score in enumerate(scores):
        right.text(column, row, f"{score:.2f}", ha="center", va="center")
for axes in (left, right):
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
figure.colorbar(heat, ax=right, label="mean opinion, 1 bad to 5 excellent", shrink=0.4)
plt.show()

# %%
# People scored 81 photos of each class. Source: Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA
# Database", QoMEX 2019. How much single photos differ from the mean of their class:
print(f"deviation within a class: {bank.opinion_stds.min():.2f} to {bank.opinion_stds.max():.2f}")
