"""A photo next to the heat map of its DSM, with a colour bar."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2 import functional as F

GAP, BAR_WIDTH, LABELS_WIDTH, MARGIN, FONT_SIZE = 10, 18, 60, 12, 14
#: Height of the picture at least, so that the bar's labels fit, in px.
MIN_HEIGHT = 120


def draw_heat_map(photo: Tensor, sensitivity: Tensor, patch_size: int, top: float) -> Tensor:
    """Return a picture of a photo, its map and a colour bar: (3, H', W') uint8.

    Args:
        photo: (3, H, W) uint8.
        sensitivity: (ceil(H / patch_size), ceil(W / patch_size)) map.
        patch_size: Side of a patch in px.
        top: The DSM of the brightest colour, and of all above it.
    """
    height, width = photo.shape[-2:]
    bar_left = 2 * (width + GAP)
    size = (bar_left + BAR_WIDTH + LABELS_WIDTH, max(height, MIN_HEIGHT) + 2 * MARGIN)
    picture = Image.new("RGB", size, "white")
    picture.paste(F.to_pil_image(photo), (0, MARGIN))
    patches = color_values(sensitivity.detach().cpu().as_subclass(torch.Tensor).float().numpy() / top)
    colored = patches.repeat(patch_size, axis=0).repeat(patch_size, axis=1)[:height, :width]
    picture.paste(Image.fromarray(colored), (width + GAP, MARGIN))
    _draw_bar(picture, bar_left, top)
    return F.pil_to_tensor(picture)


def color_values(values: np.ndarray) -> np.ndarray:
    """Return the colours, (..., 3) uint8 RGB, of a 2-d array; from 0, black, to 1 and above, pale yellow."""
    levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def _draw_bar(picture: Image.Image, left: int, top: float) -> None:
    height = picture.height - 2 * MARGIN
    column = color_values(np.linspace(1, 0, height, dtype=np.float32)[:, None])
    picture.paste(Image.fromarray(column.repeat(BAR_WIDTH, axis=1)), (left, MARGIN))
    draw = ImageDraw.Draw(picture)
    draw.font = ImageFont.load_default(FONT_SIZE)
    for share, label in ((0.0, "0"), (0.5, f"{top / 2:.3g}"), (1.0, f"{top:.3g} +")):
        place = (left + BAR_WIDTH + 4, MARGIN + height - 1 - share * (height - 1))
        draw.text(place, label, "black", anchor="lm")
