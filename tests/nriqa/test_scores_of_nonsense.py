"""The model that ships, on what is no photo: a finite score and a finite map for every image of any size."""

import pytest
import torch
from PIL import Image, ImageDraw
from torchvision.transforms.v2 import functional as F

from dsmix_aug import DSMEstimator, QualityModel


def checkerboard(cell):
    rows = torch.arange(64) // cell
    return ((rows.unsqueeze(1) + rows) % 2).float().expand(3, -1, -1)


def screenshot():
    """Windows with borders and lines of text on a flat ground."""
    picture = Image.new("RGB", (160, 96), (236, 236, 236))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((8, 8, 150, 88), fill="white", outline="black")
    for line in range(6):
        draw.text((12, 10 + 12 * line), "The quick brown fox jumps", fill="black")
    return F.to_dtype(F.pil_to_tensor(picture), torch.float32, scale=True)


NONSENSE = {
    "black": torch.zeros(3, 64, 64),
    "white": torch.ones(3, 64, 64),
    "gray": torch.full((3, 64, 64), 0.5),
    "red": torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 64, 64),
    "noise": torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)),
    "checkerboard_1": checkerboard(1),
    "checkerboard_8": checkerboard(8),
    "screenshot": screenshot(),
    "one_pixel": torch.full((3, 1, 1), 0.3),
    "a_row": torch.linspace(0, 1, 300).expand(3, 1, 300),
    "a_column": torch.linspace(0, 1, 300).view(1, 300, 1).expand(3, 300, 1),
    "subnormal": torch.full((3, 40, 40), 1e-42),
}


@pytest.fixture(scope="module")
def model():
    return QualityModel.from_pretrained("small")


@pytest.fixture(scope="module")
def estimator():
    return DSMEstimator.from_pretrained("small")


@pytest.mark.parametrize("name", list(NONSENSE))
def test_scores_and_maps_are_finite(name, model, estimator):
    image = NONSENSE[name].unsqueeze(0)
    with torch.no_grad():
        score, dsm = model(image), estimator(image)
    assert score.shape == (1,)
    assert score.isfinite().all()
    assert dsm.isfinite().all()
    assert dsm.min() >= 0
