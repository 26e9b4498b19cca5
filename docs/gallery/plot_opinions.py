"""
How bad each class looks to people
==================================

One photo through every type and level of :class:`~dsmix_aug.DistortionBank`, next to the mean opinion of KADID-10k's
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
picture = torch.cat(rows, dim=-2).permute(1, 2, 0)

# %%
# The opinion of a type at a level is that of its class; the four levels that change nothing share the pristine class.
opinions = torch.stack([bank.opinion_scores[[bank.encode(name, level) for level in range(1, 6)]] for name in bank])

figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 13), layout="constrained")
cell = picture.shape[0] / len(bank)
left.imshow(picture)
left.set_yticks([cell * (i + 0.5) for i in range(len(bank))], list(bank))
left.set_xticks([cell * (i + 0.5) for i in range(5)], range(1, 6))
heat = right.imshow(opinions, vmin=1, vmax=5, cmap="RdYlGn")
right.set_xticks(range(5), range(1, 6))
right.set_yticks([])
for row, scores in enumerate(opinions.tolist()):
    for column, score in enumerate(scores):
        right.text(column, row, f"{score:.2f}", ha="center", va="center")
for axes in (left, right):
    axes.set_xlabel("level")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
figure.colorbar(heat, ax=right, label="mean opinion, 1 bad to 5 excellent", shrink=0.4)
plt.show()

# %%
# People scored 81 photos of each class. Source: Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA
# Database", QoMEX 2019. How much single photos differ from the mean of their class:
print(f"deviation within a class: {bank.opinion_stds.min():.2f} to {bank.opinion_stds.max():.2f}")

# %%
# Six types as curves, with the deviation over the photos as a band. ``mean_shift`` is two-sided: its level 3 is the
# photo itself.
figure, axes = plt.subplots(figsize=(8, 5.4), layout="constrained")
for name in ("gaussian_blur", "jpeg", "white_noise", "darken", "mean_shift", "color_block"):
    classes = [bank.encode(name, level) for level in range(1, 6)]
    means, deviations = bank.opinion_scores[classes], bank.opinion_stds[classes]
    (line,) = axes.plot(range(1, 6), means, "o-", linewidth=2, label=name)
    axes.fill_between(range(1, 6), means - deviations, means + deviations, color=line.get_color(), alpha=0.12)
axes.set(xticks=range(1, 6), xlabel="level", ylabel="mean opinion, 1 bad to 5 excellent", ylim=(1, 5))
axes.legend(frameon=False, ncols=2, loc="lower left")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# sphinx_gallery_thumbnail_number = 2
