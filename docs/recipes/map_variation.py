"""How much each distortion's map varies over an image: standard deviation over mean of its patches.

    python docs/recipes/map_variation.py

Where it is small, the map weighs the parts of an image as area does. Means over levels and photos of scikit-image.
"""

import skimage.data
import torch
from torchvision.transforms.v2 import functional as F

from dsmix_aug import DistortionBank, sensitivity_map

PHOTOS = ("astronaut", "cat", "coffee", "rocket", "immunohistochemistry")
CROP_SIZE, PATCH_SIZE = 128, 16
bank = DistortionBank(pristine=False)


def main() -> None:
    """Run the script."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(bank.num_classes)
    variations = []
    for name in PHOTOS:
        photo = F.center_crop(F.to_image(getattr(skimage.data, name)()), [CROP_SIZE, CROP_SIZE])
        references = photo.expand(bank.num_classes, -1, -1, -1)
        distorted, _ = bank(references, labels=labels, generator=generator)
        patches = sensitivity_map(distorted, references, PATCH_SIZE).flatten(1)
        variations.append(patches.std(1, correction=0) / patches.mean(1))
    per_class = torch.stack(variations).mean(0)
    per_type = {name: float(per_class[bank.type_index == bank.type_names.index(name)].mean()) for name in bank}
    for name, variation in sorted(per_type.items(), key=lambda item: -item[1]):
        print(f"{name:24} {variation:.2f}")


if __name__ == "__main__":
    main()
