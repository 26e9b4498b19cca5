"""
DSMix: labels by distortion, not by area
========================================

Two distorted photos, cut and mixed with the same box under the three weightings of :class:`~dsmix_aug.DSMix`.
"""

# %%
# A strongly blurred photo and one with a little impulse noise, which changes few pixels.
import matplotlib.pyplot as plt
import skimage.data
import torch

from dsmix_aug import DistortionBank, DSMix, Reference, sensitivity_map

names = ("astronaut", "chelsea")
crops = [getattr(skimage.data, name)()[0:224, 110:334] for name in names]
references = torch.stack([torch.from_numpy(crop).permute(2, 0, 1) for crop in crops])

bank = DistortionBank()
labels = torch.tensor([bank.encode("gaussian_blur", 5), bank.encode("impulse_noise", 3)])
images, labels = bank(references, labels, generator=torch.Generator().manual_seed(0))


# %%
# The same generator seed draws the same box. The label is a sum of two classes; its two shares stand above each mixed
# image.
def show(axes: plt.Axes, picture: torch.Tensor, title: str) -> None:
    """Show an image (3, H, W) or a map (h, w)."""
    axes.imshow(picture.permute(1, 2, 0) if picture.ndim == 3 else picture, cmap="inferno")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


figure, grid = plt.subplots(2, 5, figsize=(13, 5.4), layout="constrained")
maps = sensitivity_map(images, references)
for i, row in enumerate(grid.T[:2]):
    show(row[0], images[i], bank.class_names[int(labels[i])])
    show(row[1], maps[i], "sensitivity map")

for row, weighting in zip(grid.T[2:], ("area", "mass", "retained"), strict=True):
    mix = DSMix(num_classes=bank.num_classes, weighting=weighting)
    generator = torch.Generator().manual_seed(4)
    mixed, soft, mixed_references = mix(images, labels, Reference(references), generator=generator)
    shares = "\n".join(f"{soft[0, label]:.0%} {bank.class_names[int(label)]}" for label in labels)
    show(row[0], mixed[0], f"weighting={weighting!r}\n{shares}")
    show(row[1], sensitivity_map(mixed, mixed_references)[0], "map of the mixed image")
plt.show()
