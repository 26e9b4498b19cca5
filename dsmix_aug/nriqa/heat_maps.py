"""Heat maps: sensitivity maps in colours, and next to the photo that they belong to."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.base.names import safe_file_name
from dsmix_aug.nriqa.datasets.photos import read_shrunk, to_float

#: Photos are shrunk to this shorter side in px before their map is predicted.
MAP_SIDE = 384


def color_map(sensitivity: Tensor, size: tuple[int, int], brightest: float) -> Image.Image:
    """Return a (h, w) map as a picture in the colours "magma", each patch a rectangle.

    Args:
        sensitivity: The map.
        size: Width and height of the picture in px.
        brightest: The value of the brightest colour.
    """
    values = np.clip(sensitivity.float().numpy() / max(brightest, 1e-12), 0, 1)
    colored = cv2.applyColorMap((255 * values).astype(np.uint8), cv2.COLORMAP_MAGMA)
    return Image.fromarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB)).resize(size, Image.Resampling.NEAREST)


def heat_map_name(number: int, photo: Path) -> str:
    """Return the file name of the heat map of photo ``number``: any file system takes it."""
    return f"{number:04d}_{safe_file_name(photo.stem)}.png"


def draw_heat_map(estimator: DSMEstimator, photo: Path, path: Path) -> float:
    """Write a photo and its predicted map, in colours up to the map's maximum, side by side; return the map's mean."""
    image = read_shrunk(photo, MAP_SIDE)
    device = next(estimator.parameters()).device
    with torch.no_grad():
        sensitivity: Tensor = estimator(to_float(image).unsqueeze(0).to(device))[0].cpu()
    height, width = image.shape[-2:]
    both = Image.new("RGB", (2 * width, height))
    both.paste(Image.fromarray(image.permute(1, 2, 0).numpy()))
    both.paste(color_map(sensitivity, (width, height), float(sensitivity.max())), (width, 0))
    with replace_when_done(path) as temporary:
        both.save(temporary, format="PNG")
    return float(sensitivity.mean())
