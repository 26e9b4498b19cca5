"""
A training run's curves
=======================

A small DSM estimator learns to predict sensitivity maps, in some seconds on a CPU: loss, and a prediction before and
after.
"""

# %%
# Crops of photos that ship with scikit-image, distorted anew in each step. One photo is kept out of the training.
import matplotlib.pyplot as plt
import skimage.data
import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, DSMEstimator, sensitivity_map

torch.manual_seed(0)
photos = [
    torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) for name in ("astronaut", "coffee", "rocket")
]
held_out = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[:, 20:276, 90:346]
bank = DistortionBank(["white_noise", "jpeg", "color_block"])
crop = v2.RandomCrop(64)


def draw_batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return distorted crops (size, 3, 64, 64), float in [0, 1], and their maps."""
    references = torch.stack([crop(photos[i % len(photos)]) for i in range(size)])
    images, _ = bank(references)
    return images / 255, sensitivity_map(images, references, 16)


# %%
# The photo that was kept out, with blocks. The maps are compared by their mean squared error.
test_image = bank["color_block"](held_out, level=4, generator=torch.Generator().manual_seed(2))
test_map = sensitivity_map(test_image, held_out, 16)
estimator = DSMEstimator(patch_size=16, embed_dim=64, depth=2, num_heads=2)
optimizer = torch.optim.AdamW(estimator.parameters(), lr=2e-3)


def predict() -> torch.Tensor:
    """Return the map of the photo that was kept out."""
    with torch.inference_mode():
        return estimator.eval()(test_image[None] / 255)[0]


before, losses, held_out_losses = predict(), [], []
for step in range(150):
    images, maps = draw_batch(16)
    loss = F.mse_loss(estimator.train()(images), maps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step % 10 == 9:
        held_out_losses.append(F.mse_loss(predict(), test_map).item())

# %%
# The loss of each batch jumps with the distortions that were drawn; that of the photo falls.
figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
axes.semilogy(range(1, 151), losses, color="tab:blue", alpha=0.5, label="training batch")
axes.semilogy(range(10, 151, 10), held_out_losses, "o-", color="tab:orange", label="photo that was kept out")
axes.set(xlabel="step", ylabel="mean squared error of the map")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The photo with its blocks, and its map: predicted before and after the training, and the true one.
figure, grid = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
grid[0, 0].imshow(test_image.permute(1, 2, 0))
grid[0, 0].set_title("kept out, with blocks")
maps = {"before": before, "after 150 steps": predict(), "true": test_map}
for axes, (title, dsm) in zip(grid.flat[1:], maps.items(), strict=True):
    heat = axes.imshow(dsm, cmap="inferno", vmin=0, vmax=float(test_map.max()))
    axes.set_title(f"map: {title}")
for axes in grid.flat:
    axes.set_axis_off()
figure.colorbar(heat, ax=grid, label="mean absolute difference to the photo", shrink=0.6)
plt.show()

# %%
# The pipeline does the same at full length, keeps its curves for TensorBoard and draws them in its report:
# :doc:`/pipeline`.

# sphinx_gallery_thumbnail_number = 2
