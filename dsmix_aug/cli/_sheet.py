"""The sheet of ``distort --grid``: one row for each type, one column for each level."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from dsmix_aug.cli._read import cover
from dsmix_aug.cli._types import opinion
from dsmix_aug.distortions import DistortionBank

#: Larger photos are shrunk and cropped to this size before they are distorted: the parameters are meant for it.
PHOTO_SIZE = (512, 384)
CELL_WIDTH = 256
#: Between columns and below captions, height of a caption and of the headings, width of the names, in px.
GAP, BELOW, CAPTION, HEADING, LABELS = 6, 14, 20, 34, 250
FONT_SIZE = 15


def draw_sheet(photo: Tensor, bank: DistortionBank, levels: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return a sheet of a photo, distorted by every type of the bank at the levels: (3, H, W) uint8.

    Args:
        photo: (3, H, W) uint8.
        bank: Its types are the rows.
        levels: The columns.
        generator: What the distortions draw from.
    """
    height, width = photo.shape[-2:]
    if width > PHOTO_SIZE[0] or height > PHOTO_SIZE[1]:
        photo = cover(photo, (min(width, PHOTO_SIZE[0]), min(height, PHOTO_SIZE[1])))
        height, width = photo.shape[-2:]
    cell = (CELL_WIDTH, max(1, round(height * CELL_WIDTH / width)))
    step = (cell[0] + GAP, cell[1] + CAPTION + BELOW)
    sheet = Image.new("RGB", (LABELS + step[0] * len(levels), HEADING + step[1] * len(bank)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = ImageFont.load_default(FONT_SIZE)
    for column, level in enumerate(levels):
        draw.text((LABELS + step[0] * column + cell[0] / 2, HEADING / 2), f"level {level}", "black", anchor="mm")
    for row, (name, distortion) in enumerate(bank.items()):
        top = HEADING + step[1] * row
        draw.text((10, top + cell[1] / 2 - FONT_SIZE), name, "black", anchor="lm")
        draw.multiline_text((10, top + cell[1] / 2), textwrap.fill(distortion.parameter, 30), "#555555")
        images = distortion(photo.expand(len(levels), -1, -1, -1), levels, generator=generator)
        for column, (level, image) in enumerate(zip(levels, images, strict=True)):
            left = LABELS + step[0] * column
            sheet.paste(F.to_pil_image(image).resize(cell, Image.Resampling.LANCZOS), (left, top))
            score = opinion(bank, name, level)
            caption = f"{distortion.values[level - 1]:g}" + (f"    opinion {score}" if score else "")
            draw.text((left + cell[0] / 2, top + cell[1] + CAPTION / 2), caption, "black", anchor="mm")
    return F.pil_to_tensor(sheet)
