"""Pickles of release 0.1.0 load and behave as before; tests/data/release_0_1_0.json was written by that release."""

import base64
import copy
import json
import pickle
from operator import itemgetter
from pathlib import Path

import pytest
import torch

from dsmix_aug import DistortionBank, DSMix, RandomDistortion, Reference, SensitivityMap, sensitivity_map

RELEASE = json.loads((Path(__file__).parent / "data/release_0_1_0.json").read_text())
BUILT_TODAY = {
    "DSMix": DSMix(num_classes=5, alpha=0.4, weighting="retained", box="sample", partner="random", p=0.5),
    "DSMix_getters": DSMix(map_getter=itemgetter("map"), labels_getter=itemgetter("y")),
    "DSMix_none": DSMix(weighting="area", labels_getter=None),
    "DistortionBank": DistortionBank(range_mode="kadis"),
    "RandomDistortion": RandomDistortion(DistortionBank(["jpeg", "white_noise"], levels=(1, 3)), 0.5, True),
}


def load(name: str) -> object:
    return pickle.loads(base64.b64decode(RELEASE["pickles"][name]))


def batch() -> tuple[torch.Tensor, SensitivityMap]:
    images = torch.linspace(0, 1, 4 * 3 * 64 * 80).reshape(4, 3, 64, 80)
    return images, SensitivityMap(torch.arange(80.0).reshape(4, 4, 5), canvas_size=(64, 80))


@pytest.mark.parametrize("name", sorted(RELEASE["pickles"]))
def test_loads_and_pickles_again(name):
    loaded = load(name)
    again = pickle.loads(pickle.dumps(loaded))
    assert repr(again) == repr(loaded) == repr(copy.deepcopy(loaded))
    assert type(again) is type(loaded)


@pytest.mark.parametrize("name", ["DSMix", "DSMix_none"])
def test_mixer_draws_as_it_did(name):
    torch.manual_seed(3)
    params = load(name).make_params(list(batch()))
    expected = RELEASE["draws"][name]
    assert json.loads(json.dumps([params["box"], params["partner"]])) == [expected["box"], expected["partner"]]
    torch.testing.assert_close(params["lam"], torch.tensor(expected["lam"], dtype=torch.float64))


@pytest.mark.parametrize("name", ["DSMix", "DSMix_getters"])
def test_mixer_mixes_as_one_that_is_built_today(name):
    images, dsm = batch()
    scores = {"DSMix": torch.arange(4), "DSMix_getters": torch.arange(4.0)}[name]
    sample = {"image": images, "y" if name == "DSMix_getters" else "labels": scores, "map": dsm}
    results = []
    for transform in (load(name), BUILT_TODAY[name]):
        torch.manual_seed(0)
        results.append(transform(dict(sample)))
    assert repr(load(name)) == repr(BUILT_TODAY[name])
    assert not torch.equal(results[0]["image"], images)
    for key in sample:
        assert torch.equal(results[0][key].as_subclass(torch.Tensor), results[1][key].as_subclass(torch.Tensor))


def test_mixer_without_labels_says_so_still():
    with pytest.raises(ValueError, match="The labels must be a tensor"):
        load("DSMix_none")(batch()[0], torch.arange(4))


def test_distortions_are_drawn_as_they_were():
    torch.manual_seed(3)
    drawn = load("DistortionBank").make_params(torch.zeros(6, 3, 64, 64))
    assert [[entry.type, entry.level] for entry in drawn] == RELEASE["draws"]["DistortionBank"]
    torch.manual_seed(3)
    drawn = load("RandomDistortion").make_params([torch.zeros(6, 3, 64, 64)])
    assert drawn["labels"].tolist() == RELEASE["draws"]["RandomDistortion"]


@pytest.mark.parametrize("name", ["DistortionBank", "RandomDistortion"])
def test_images_are_distorted_as_by_one_that_is_built_today(name):
    images = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    results = []
    for transform in (load(name), BUILT_TODAY[name]):
        torch.manual_seed(0)
        results.append(transform(images))
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))
    assert repr(load(name)) == repr(BUILT_TODAY[name])


def test_tensors_keep_class_and_metadata():
    reference, dsm = load("Reference"), load("SensitivityMap")
    assert type(reference) is Reference
    assert reference.shape == (3, 2, 2)
    assert type(dsm) is SensitivityMap
    assert (dsm.patch_size, dsm.canvas_size) == (16, (32, 32))
    ours = sensitivity_map(torch.ones(3, 32, 32), torch.zeros(3, 32, 32))
    assert torch.equal(dsm.as_subclass(torch.Tensor), ours.as_subclass(torch.Tensor))
