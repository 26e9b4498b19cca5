"""
Several distortions on one image
================================

Photos seldom suffer from one thing only. A composition applies one to four distortions of different families in random
order.
"""

# %%
# What is drawn is a list of steps per sample, so it can be read, stored and applied again.
import matplotlib.pyplot as plt
import skimage.data
import torch

from dsmix_aug import DistortionBank, sensitivity_map

photo = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[:, :288, 40:424]
bank = DistortionBank()
references = photo.expand(6, -1, -1, -1)
params = bank.make_composed_params(
    references,
    num_distortions=(1, 4),
    level_probabilities=(0, 1, 1, 1, 0),  # levels 2 to 4
    generator=torch.Generator().manual_seed(12),
)
images = bank.apply(references, params)

# %%
# Each photo with its steps from first to last, and the mean of its sensitivity map, which sums up all of them.
maps = sensitivity_map(images, references)
figure, grid = plt.subplots(2, 3, figsize=(10.5, 7.4), layout="constrained")
figure.get_layout_engine().set(hspace=0.08)
for axes, image, steps, dsm in zip(grid.flat, images, params, maps, strict=True):
    axes.imshow(image.permute(1, 2, 0))
    axes.set_title("\n".join(f"{step.type} {step.level}" for step in steps), fontsize=11)
    axes.set_xlabel(f"mean DSM {dsm.mean():.3f}")
    axes.set(xticks=[], yticks=[])
plt.show()

# %%
# The label of a composition has a 1 for each distortion. That is what ``BCEWithLogitsLoss`` takes.
labels = bank.encode_multi_hot(params)
print(labels.shape, labels.sum(1).tolist())
