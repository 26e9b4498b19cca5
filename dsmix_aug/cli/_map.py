"""The work of ``dsmix-aug map``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dsmix_aug.cli._arguments import TOP_MEASURED, TOP_PREDICTED
from dsmix_aug.cli._heat_map import draw_heat_map
from dsmix_aug.cli._output import check_absent, write_array, write_image
from dsmix_aug.maps.estimator import DSMEstimator
from dsmix_aug.maps.sensitivity import sensitivity_map
from dsmix_aug.nriqa.base.devices import check_device
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.photos.reader import read_photo, read_shrunk, to_float

#: The estimator sees photos shrunk to this shorter side in px: it was trained on small ones.
PREDICTED_SIDE = 384


class MappedPhoto(NamedTuple):
    """A (3, H, W) uint8 photo and its map, one value for each patch of ``patch_size`` px."""

    photo: Tensor
    sensitivity: Tensor
    patch_size: int


def write_map(args: argparse.Namespace) -> None:
    """Write the map that the arguments ask for, as an array and as a heat map, and print its mean and maximum."""
    stem = args.output / args.distorted.stem
    array, picture = stem.with_name(f"{stem.name}-dsm.npy"), stem.with_name(f"{stem.name}-dsm.png")
    check_absent((array, picture), args)
    if args.reference is None:
        if args.patch_size is not None:
            raise ValueError("--patch-size needs a REFERENCE: the estimator has its own")
        check_device(args.device)
        estimator = DSMEstimator.from_pretrained(args.weights).to(args.device)
        mapped = predict_map(estimator, args.distorted)
    else:
        mapped = measure_map(args.distorted, args.reference, 16 if args.patch_size is None else args.patch_size)
    top = args.top or (TOP_PREDICTED if args.reference is None else TOP_MEASURED)
    write_array(mapped.sensitivity, array)
    write_image(draw_heat_map(*mapped, top), picture)
    rows, columns = mapped.sensitivity.shape
    how = "predicted" if args.reference is None else "measured"
    print(f"{how} DSM: mean {mapped.sensitivity.mean():.4f}, maximum {mapped.sensitivity.max():.4f}")
    print(f"{rows} x {columns} patches of {mapped.patch_size} px; heat map from 0 to {top:g}")
    for path in (array, picture):
        print(printable(str(path)))


def measure_map(distorted: Path, reference: Path, patch_size: int) -> MappedPhoto:
    """Return the DSM of a photo whose reference is known.

    Raises:
        OSError: If a photo cannot be read.
        ValueError: If the photos differ in size, or there is no such patch size.
    """
    photo, pristine = read_photo(distorted), read_photo(reference)
    if photo.shape != pristine.shape:
        sizes = [f"{image.shape[-1]}x{image.shape[-2]}" for image in (photo, pristine)]
        raise ValueError(f"REFERENCE: should have the size of DISTORTED, {sizes[0]} px, got {sizes[1]} px")
    return MappedPhoto(photo, sensitivity_map(photo, pristine, patch_size), patch_size)


def predict_map(estimator: DSMEstimator, path: Path) -> MappedPhoto:
    """Return the DSM that an estimator predicts for a photo, shrunk to :data:`PREDICTED_SIDE` if it is larger.

    Raises:
        OSError: If the photo cannot be read.
    """
    photo = read_shrunk(path, PREDICTED_SIDE)
    with torch.no_grad():
        predicted = estimator(to_float(photo).unsqueeze(0).to(next(estimator.parameters()).device))[0].cpu()
    return MappedPhoto(photo, predicted, estimator.patch_size)
