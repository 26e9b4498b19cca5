"""Damaged files of a run are named, with what to delete, and never used; those of the cache are made anew."""

import os
import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.files import save_tensors, write_json
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone
from dsmix_aug.nriqa.networks.features import cached_features
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.runs.folder import FORMAT, RunFolder
from dsmix_aug.nriqa.runs.networks import KIND
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.stages.checkpoint import read_checkpoint, write_checkpoint

CONFIG = PRESETS["smoke"]


class Pooling(Backbone):
    channels = (3,)

    def __init__(self):
        super().__init__(mean=(0.0,) * 3, std=(1.0,) * 3)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return [images * self.weight]


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def claim(folder, part):
    write_json(folder / "config.json", {"format": FORMAT, "config": CONFIG.to_dict(), "data": {}})
    write_json(RunFolder(folder).marker_path(part), {"seconds": 1.0})


def make_estimator(folder):
    claim(folder, "dsm")
    DSMEstimator(8, 16, 1, 2).save_pretrained(folder / "dsm" / "estimator.safetensors")
    return folder / "dsm" / "estimator.safetensors", lambda: RunFolder(folder).estimator(), "finished/dsm.json"


def make_backbone(folder):
    claim(folder, "pretrain/dsmix")
    path = folder / "pretrain" / "dsmix" / "backbone.safetensors"
    save_tensors(path, KIND, "dsmix", build_backbone(CONFIG.backbone, "random").state_dict())
    return path, lambda: RunFolder(folder).networks("dsmix"), "finished/pretrain-dsmix.json"


def make_probe(folder):
    claim(folder, "probe")
    path = folder / "probe" / "dsmix-toy.safetensors"
    arrays = [np.arange(100.0), np.arange(100.0) + 1, np.ones(100), np.ones(100), np.ones(100)]
    Probe(*arrays, 0.5).save(path, {"row": "dsmix", "dataset": "toy", "target": "MOS", "score_range": [0.0, 1.0]})
    make_backbone(folder)
    return path, lambda: RunFolder(folder).quality_model("dsmix", "toy"), "finished/probe.json"


def make_checkpoint(folder):
    path = folder / "dsm" / "checkpoint.safetensors"

    def objects():
        objective = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
        return objective, torch.optim.AdamW(objective.parameters())

    objective, optimizer = objects()
    objective(torch.rand(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    write_checkpoint(path, objective, optimizer, [{"step": 0, "learning_rate": 0.1, "loss": 0.5}])
    return path, lambda: read_checkpoint(path, *objects()), "delete it and run again"


@pytest.fixture(params=[make_estimator, make_backbone, make_probe, make_checkpoint])
def saved(request, tmp_path):
    """Path of a file, what reads it, and what the message has to say about the way out."""
    return SimpleNamespace(**dict(zip(("path", "read", "remedy"), request.param(tmp_path), strict=True)))


def test_flipped_bytes_and_truncations(saved):
    saved.read()
    content = saved.path.read_bytes()
    draw = random.Random(0)
    header = int.from_bytes(content[:8], "little") + 8
    damaged = [content[: draw.randrange(len(content))] for _ in range(5)] + [b"", content[:-1]]
    for offset in [*draw.sample(range(header), 8), *draw.sample(range(header, len(content)), 8)]:
        flipped = bytearray(content)
        flipped[offset] ^= 0xFF
        damaged.append(bytes(flipped))
    for broken in damaged:
        saved.path.write_bytes(broken)
        with pytest.raises(ValueError) as caught:  # noqa: PT011  the two messages are compared below
            saved.read()
        assert saved.path.name in str(caught.value)
        assert saved.remedy in str(caught.value)
        assert "\n" not in str(caught.value)
    saved.path.write_bytes(content)
    saved.read()


@pytest.mark.parametrize("dump", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save])
def test_foreign_pickles_are_not_unpickled(saved, tmp_path, dump):
    dump(Trap(tmp_path / "sprung"), saved.path)
    with pytest.raises(ValueError, match=r"is damaged or not a safetensors file") as caught:
        saved.read()
    assert saved.path.name in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_another_kind_in_its_place(saved):
    save_tensors(saved.path, "dsmix_aug.Other", None, {})
    with pytest.raises(ValueError, match=r"holds no "):
        saved.read()


def test_a_checkpoint_of_an_older_version_is_named_and_not_unpickled(tmp_path):
    path, read, _ = make_checkpoint(tmp_path)
    torch.save(Trap(tmp_path / "sprung"), path.with_name("checkpoint.pt"))
    with pytest.raises(ValueError, match=r"checkpoint.pt is a pickle, .* it is not read; delete it and run again"):
        read()
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path, _, _ = make_checkpoint(tmp_path)
    for other in (nn.Conv2d(3, 5, 3), nn.Linear(2, 2)):
        with pytest.raises(ValueError, match=r"checkpoint.safetensors does not fit what is trained: "):
            read_checkpoint(path, other, torch.optim.AdamW(other.parameters()))


def test_an_optimizer_comes_back_in_the_memory_format_of_its_parameters(tmp_path):
    path, _, _ = make_checkpoint(tmp_path)
    objective = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(objective.parameters())
    assert read_checkpoint(path, objective, optimizer) == [{"step": 0, "learning_rate": 0.1, "loss": 0.5}]
    weight = objective[0].weight
    assert optimizer.state[weight]["exp_avg"].stride() == weight.stride() != weight.contiguous().stride()
    assert optimizer.state[weight]["step"] == 1


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return path


def test_damaged_features_are_extracted_again(photo, tmp_path):
    def features():
        return cached_features(Pooling(), [photo], "data", tmp_path / "cache", "cpu", False, "features")

    expected = features()
    (path,) = (tmp_path / "cache").iterdir()
    content = path.read_bytes()
    flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    for broken in (b"", content[:100], content[:-1], flipped, pickle.dumps(Trap(tmp_path / "sprung"))):
        path.write_bytes(broken)
        with pytest.warns(UserWarning, match=rf"{path.name} is damaged.*; the features are extracted again"):
            assert np.array_equal(features(), expected)
        assert path.read_bytes() == content
    assert not (tmp_path / "sprung").exists()
