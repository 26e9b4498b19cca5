"""Pristine photos -> distortion bank -> DSMix, in the collate function of a DataLoader with two workers."""

import argparse

import skimage.data
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, DSMix, Reference

bank = DistortionBank()
mix = DSMix(num_classes=bank.num_classes)


def collate(photos):
    references = default_collate(photos)
    images, labels = bank(references)
    images, labels, _ = mix(images, labels, Reference(references))
    return images, labels


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # answers --help
    crop = v2.Compose([v2.ToImage(), v2.RandomCrop(224)])
    names = ("astronaut", "coffee", "chelsea", "rocket") * 16
    photos = [crop(getattr(skimage.data, name)()) for name in names]
    loader = DataLoader(photos, batch_size=32, shuffle=True, num_workers=2, collate_fn=collate)
    for images, labels in loader:
        print(f"images {tuple(images.shape)} {images.dtype}, labels {tuple(labels.shape)}; the first image:")
        for share, label in zip(*labels[0].topk(2), strict=True):
            print(f"  {share:6.1%} {bank.class_names[int(label)]}")
