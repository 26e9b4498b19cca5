"""
DSMix in a DataLoader, and its throughput
=========================================

The bank and DSMix in a ``collate_fn``: what a batch looks like, and how many images per second come out.
"""

# %%
# A dataset of pristine photos. It makes random crops of four photos that ship with scikit-image.
import time

import matplotlib.pyplot as plt
import skimage.data
import torch
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, DSMix, Reference

bank = DistortionBank()
mix = DSMix(num_classes=bank.num_classes, box="sample")


class Photos(Dataset):
    """Random crops (3, 192, 192), uint8."""

    def __init__(self) -> None:
        names = ("astronaut", "chelsea", "coffee", "rocket")
        self.photos = [torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) for name in names]
        self.augment = v2.Compose([v2.RandomCrop(192), v2.RandomHorizontalFlip()])

    def __len__(self) -> int:
        return 96

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.augment(self.photos[index % len(self.photos)])


# %%
# Three collate functions: photos as they are; distorted, each with its class; distorted and mixed, with soft labels.
def distort(samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Distort each photo with a class drawn at random."""
    return bank(default_collate(samples))


def distort_and_mix(samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Distort, then mix by the sensitivity maps."""
    photos = default_collate(samples)
    images, labels = bank(photos)
    images, labels, _ = mix(images, labels, Reference(photos))
    return images, labels


torch.manual_seed(0)
images, labels = next(iter(DataLoader(Photos(), batch_size=8, collate_fn=distort_and_mix)))
figure, grid = plt.subplots(2, 4, figsize=(10.5, 6.4), layout="constrained")
for axes, image, label in zip(grid.flat, images, labels, strict=True):
    axes.imshow(image.permute(1, 2, 0))
    shares, found = label.topk(2)
    lines = [f"{share:.0%} {bank.class_names[i]}" for share, i in zip(shares, found.tolist(), strict=True) if share]
    axes.set_title("\n".join(lines), fontsize=10)
    axes.set_axis_off()
plt.show()

# %%
# Images per second without workers, on one core of the machine that built this page. With ``num_workers``, processes
# share the work. :doc:`/benchmarks` compares with other libraries.
torch.set_num_threads(1)
rates = {}
for name, collate in (("photos only", default_collate), ("bank", distort), ("bank and DSMix", distort_and_mix)):
    torch.manual_seed(0)  # the same classes with and without mixing
    loader = DataLoader(Photos(), batch_size=32, collate_fn=collate)
    start = time.process_time()
    for _ in loader:
        pass
    rates[name] = len(loader.dataset) / (time.process_time() - start)

figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
bars = axes.barh(list(rates), list(rates.values()), color=["0.7", "tab:blue", "tab:orange"])
axes.bar_label(bars, fmt="%.0f", padding=4)
axes.invert_yaxis()
axes.set(xlabel="images of 192x192 px per second of CPU time, one thread")
axes.margins(x=0.15)
axes.spines[["top", "right"]].set_visible(False)
plt.show()
