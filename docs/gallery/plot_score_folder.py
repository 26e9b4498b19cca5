"""
Scoring a folder of photos
==========================

:class:`~dsmix_aug.QualityModel` scores photos without a reference, here from the worst to the best.
"""

# %%
# A folder with a photo as it is and in five damaged versions.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import skimage.data
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from dsmix_aug import DistortionBank, QualityModel

folder = Path(tempfile.mkdtemp())
photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[:, :384, 44:556].contiguous()
to_pil_image(photo).save(folder / "as it is.png")
bank = DistortionBank()
for name, level in (("jpeg", 2), ("jpeg", 4), ("gaussian_blur", 3), ("gaussian_blur", 5), ("white_noise", 5)):
    image = bank[name](photo, level, generator=torch.Generator().manual_seed(0))
    to_pil_image(image).save(folder / f"{name} {level}.png")

# %%
# The model that ships with the package. ``dsmix-aug score FOLDER`` does the same on the command line.
model = QualityModel.from_pretrained("small")
paths = sorted(folder.iterdir())
scores = model.score(paths)
print(model)

# %%
figure, grid = plt.subplots(2, 3, figsize=(10.5, 6), layout="constrained")
for axes, (score, path) in zip(grid.flat, sorted(zip(scores.tolist(), paths, strict=True)), strict=True):
    axes.imshow(Image.open(path))
    axes.set_title(f"{score:.2f}   {path.stem}", fontsize=13)
    axes.set_axis_off()
plt.show()

# %%
# Scores order photos; see :doc:`/model_card` for how well, and for photos where they cannot be trusted.
