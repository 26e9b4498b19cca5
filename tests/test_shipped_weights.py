"""The weights that ship: they load offline, know what they should, and a damaged file is noticed."""

import shutil

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from dsmix_aug import DistortionBank, DSMEstimator, _weights, sensitivity_map
from dsmix_aug.nriqa.quality_model import QualityModel


@pytest.fixture(scope="module")
def photo():
    """A photo that no training has seen: astronaut, cropped."""
    return torch.from_numpy(skimage.data.astronaut()[100:356, 60:316].copy()).movedim(-1, 0)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the weights in the place of those that ship."""
    folder = shutil.copytree(_weights.FOLDER, tmp_path / "weights")
    monkeypatch.setattr(_weights, "FOLDER", folder)
    return folder


def test_all_files_are_small_and_have_checksums():
    files = sorted(_weights.FOLDER.glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 20e6
    listed = [line.split()[1] for line in (_weights.FOLDER / _weights.CHECKSUMS).read_text().splitlines()]
    assert listed == [path.name for path in files]


def test_estimator_finds_where_photos_are_distorted(photo):
    bank = DistortionBank(
        ["jpeg", "gaussian_blur", "color_block", "high_sharpen", "pixelate", "jitter"], pristine=False
    )
    references = photo.expand(bank.num_classes, -1, -1, -1)
    distorted, _ = bank(references, torch.arange(bank.num_classes), generator=torch.Generator().manual_seed(1))
    true = sensitivity_map(distorted, references).flatten(1).numpy()
    with torch.no_grad():
        predicted = DSMEstimator.from_pretrained("small")(distorted / 255).flatten(1).numpy()
    correlations = [np.corrcoef(own, other)[0, 1] for own, other in zip(true, predicted, strict=True)]
    assert np.mean(correlations) > 0.6


def test_quality_falls_as_distortions_grow(photo, tmp_path):
    model = QualityModel.from_pretrained("small")
    assert model.target == "MOS"
    bank = DistortionBank()
    paths = []
    for name in ("gaussian_blur", "jpeg", "white_noise"):
        for level in (2, 4):
            image = bank[name](photo, level=level, generator=torch.Generator().manual_seed(0))
            paths.append(tmp_path / f"{name}_{level}.png")
            Image.fromarray(image.movedim(0, -1).numpy()).save(paths[-1])
    Image.fromarray(photo.movedim(0, -1).numpy()).save(tmp_path / "pristine.png")
    *distorted, pristine = model.score([*paths, tmp_path / "pristine.png"])
    weak, strong = np.reshape(distorted, (3, 2)).T
    assert (pristine > weak).all()
    assert (weak > strong).all()


@pytest.mark.parametrize(
    ("kind", "load"),
    [("dsm_estimator", DSMEstimator.from_pretrained), ("quality_model", QualityModel.from_pretrained)],
)
def test_damage_is_noticed(copy, kind, load):
    path = copy / f"{kind}-small.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{kind}-small.safetensors is damaged: its SHA-256 is \w+, expected \w+"):
        load("small")
    (copy / f"{kind}-huge.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=rf"{kind}-huge.safetensors is damaged: .* expected None"):
        load("huge")
