"""The work of ``dsmix-aug distort``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from dsmix_aug._progress import Progress
from dsmix_aug.cli._messages import complain_of_photos
from dsmix_aug.cli._output import check_absent, write_image
from dsmix_aug.cli._photos import Photo, list_photos, output_stems, why_unreadable
from dsmix_aug.cli._read import read_at_size
from dsmix_aug.cli._sheet import draw_sheet
from dsmix_aug.cli._types import check_levels, make_bank
from dsmix_aug.distortions import DistortionBank
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.base.seeds import make_generator


def distort_photos(args: argparse.Namespace, folder: Path) -> int:
    """Write what the arguments ask for, and return the exit code."""
    bank = make_bank(args.type)
    levels = check_levels(args.level, bank)
    photos = list_photos(args.photos)
    stems = output_stems(photos)
    outputs = [_outputs(folder / stem, bank, levels, args) for stem in stems]
    check_absent((path for paths in outputs for path in paths.values()), args)
    failed = []
    with Progress("distort", len(photos)) as progress:
        for photo, paths in zip(photos, outputs, strict=True):
            try:
                image = read_at_size(photo.path, args.size)
                for distortion in bank.values():
                    distortion.check_image_size(image)
            except (OSError, ValueError) as error:
                failed.append((str(photo.path), why_unreadable(photo, error)))
            else:
                _write(photo, image, paths, bank, levels, args)
            progress.advance()
    complain_of_photos("distort", failed)
    return 1 if failed else 0


def _outputs(
    stem: Path, bank: DistortionBank, levels: list[int], args: argparse.Namespace
) -> dict[tuple[str, int], Path]:
    if args.grid:
        return {("grid", 0): stem.with_name(f"{stem.name}-grid.png")}
    return {
        (name, level): stem.with_name(f"{stem.name}-{name}-{level}.{args.format}") for name in bank for level in levels
    }


def _write(
    photo: Photo,
    image: Tensor,
    paths: dict[tuple[str, int], Path],
    bank: DistortionBank,
    levels: list[int],
    args: argparse.Namespace,
) -> None:
    if args.grid:
        (path,) = paths.values()
        write_image(draw_sheet(image, bank, levels, make_generator(args.seed, photo.name)), path)
        print(printable(str(path)), flush=True)
        return
    for (name, level), path in paths.items():
        generator = make_generator(args.seed, photo.name, name, level)
        write_image(bank[name](image, level, generator=generator).as_subclass(torch.Tensor), path)
        print(printable(str(path)), flush=True)
