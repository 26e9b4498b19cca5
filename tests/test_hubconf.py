"""The entry points of ``torch.hub``, from this working tree."""

from pathlib import Path

import pytest
import torch

from dsmix_aug import DSMEstimator, QualityModel

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("entry", "cls"), [("quality_model", QualityModel), ("dsm_estimator", DSMEstimator)], ids=["quality", "dsm"]
)
def test_models_come_through_torch_hub(entry, cls):
    model = torch.hub.load(str(ROOT), entry, source="local")
    assert isinstance(model, cls)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), cls.from_pretrained("small")(images))


def test_arguments_are_passed_on():
    with pytest.raises(FileNotFoundError, match="the weights that ship with the package are: small"):
        torch.hub.load(str(ROOT), "quality_model", source="local", name="huge")
