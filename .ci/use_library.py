"""A small use of the installed library that touches each part of it; it needs only the run-time dependencies."""

from importlib.util import find_spec

import torch
from torchvision.transforms import v2

import dsmix_aug
from dsmix_aug import DistortionBank, DSMEstimator, DSMix, RandomDistortion, Reference, sensitivity_map

for package in ("timm", "sklearn", "pandas", "matplotlib", "pytest"):
    assert find_spec(package) is None, f"{package} is here: this environment should hold only the run-time dependencies"

torch.manual_seed(0)
references = torch.rand(8, 3, 64, 64)
bank = DistortionBank()
for name, distortion in bank.items():
    assert distortion(references, level=5).shape == references.shape, name

images, labels = bank(references)
mix = DSMix(num_classes=bank.num_classes)
mixed, soft_labels, mixed_references = mix(images, labels, Reference(references))
assert soft_labels.sum(1).allclose(torch.ones(8))
assert sensitivity_map(mixed, mixed_references).shape == (8, 4, 4)
assert DSMEstimator.from_pretrained("small")(mixed).shape == (8, 4, 4)
assert v2.Compose([v2.RandomCrop(48), RandomDistortion()])(references).shape == (8, 3, 48, 48)
print(f"dsmix-aug {dsmix_aug.__version__} works from {dsmix_aug.__file__}")
