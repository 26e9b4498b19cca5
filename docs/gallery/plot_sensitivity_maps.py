"""
Where a distortion is visible: true and predicted sensitivity maps
==================================================================

The distortion-induced sensitivity map (DSM) of three distortions, computed from the reference and predicted without it.
"""

# %%
# A photo that ships with scikit-image, under a distortion that is everywhere, one that follows texture and one that
# is local.
import matplotlib.pyplot as plt
import skimage.data
import torch

from dsmix_aug import DistortionBank, DSMEstimator, sensitivity_map

photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[:, :384, 44:556]
classes = (("white_noise", 5), ("gaussian_blur", 5), ("color_block", 3))
bank = DistortionBank()
references = photo.expand(len(classes), -1, -1, -1)
images, _ = bank(references, [bank.encode(*one) for one in classes], generator=torch.Generator().manual_seed(1))

# %%
# The true map needs the reference. The estimator that ships with the package sees the distorted image only, as float in
# [0, 1].
true = sensitivity_map(images, references, 16)
estimator = DSMEstimator.from_pretrained("small").eval()
with torch.inference_mode():
    predicted = estimator(images / 255)

# %%
# Both maps lie over the photo in grey. All of them share one scale, so that colours can be compared.
highest = float(true.quantile(0.99))
figure, grid = plt.subplots(len(classes), 3, figsize=(10, 8.2), layout="constrained")
for (name, level), image, pair, row in zip(classes, images, zip(true, predicted, strict=True), grid, strict=True):
    row[0].imshow(image.permute(1, 2, 0))
    row[0].set_title(f"{name}, level {level}")
    for axes, dsm, title in zip(row[1:], pair, ("true DSM", "predicted DSM"), strict=True):
        height, width = image.shape[1:]
        axes.imshow(image.float().mean(0), cmap="gray")
        heat = axes.imshow(
            dsm, cmap="inferno", vmin=0, vmax=highest, alpha=0.75, extent=(0, width, height, 0), interpolation="nearest"
        )
        axes.set_title(f"{title}: mean {dsm.mean():.3f}")
for axes in grid.flat:
    axes.set_axis_off()
figure.colorbar(heat, ax=grid, label="mean absolute difference to the reference", shrink=0.5)
plt.show()

# %%
# How well the two agree within each image, as Pearson's correlation over the patches. A distortion that is the same
# everywhere has a flat map, whose correlation says little.
for (name, level), ours, theirs in zip(classes, predicted.flatten(1), true.flatten(1), strict=True):
    correlation = torch.corrcoef(torch.stack([ours, theirs]))[0, 1]
    print(f"{name:>15} {level}: {correlation:.2f}")
