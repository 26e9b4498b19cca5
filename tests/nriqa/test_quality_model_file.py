"""Quality models that may come from anybody: refused by name, at once, without a download or a large allocation."""

import json
import resource
import socket
import time

import numpy as np
import pytest
import safetensors.torch
import torch

from dsmix_aug.nriqa.networks import teacher as teachers
from dsmix_aug.nriqa.networks.backbones import build_backbone
from dsmix_aug.nriqa.networks.probe import ARRAYS
from dsmix_aug.nriqa.quality_model import QualityModel
from dsmix_aug.nriqa.quality_model_file import KIND

DESCRIPTION = {
    "row": {"title": "DSMix", "networks": ["dsmix"], "last_layer_only": False},
    "intercept": 0.5,
    "backbone": "efficientnet_lite0",
    "teacher": "none",
    "target": "MOS",
    "trained_on": "toy",
    "remark": "a test",
    "autocast": False,
}


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    backbone = build_backbone("efficientnet_lite0", "random")
    arrays = dict.fromkeys(ARRAYS, torch.ones(4 * sum(backbone.channels)))
    probe = {f"probe/{name}": array.clone() for name, array in arrays.items()}
    return probe | {f"dsmix/{name}": tensor.contiguous() for name, tensor in backbone.state_dict().items()}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Any attempt to reach the network fails the test, whatever the code makes of the error."""
    tried = []

    def refuse(*args, **kwargs):
        tried.append(args)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert not tried


def write(path, description, tensors):
    """Write the file as versions before the format was numbered did; no checksum stands in the way."""
    safetensors.torch.save_file(tensors, path, {KIND: json.dumps(description)})
    return path


def row(**changes):
    return {"row": {**DESCRIPTION["row"], **changes}}


def test_the_unchanged_file_is_read(tensors, tmp_path):
    model = QualityModel.from_pretrained(write(tmp_path / "model.safetensors", DESCRIPTION, tensors))
    assert (model.probe.intercept, model.row.networks, model.target) == (0.5, ("dsmix",), "MOS")
    for name, tensor in model.networks[0].state_dict().items():
        assert torch.equal(tensor, tensors[f"dsmix/{name}"])


def test_a_network_of_averaged_weights_is_read(tensors, tmp_path):
    name = "dsmix_annoyance+no_mixing_opinions"
    renamed = {key.replace("dsmix/", f"{name}/"): tensor for key, tensor in tensors.items()}
    path = write(tmp_path / "model.safetensors", {**DESCRIPTION, **row(networks=[name])}, renamed)
    model = QualityModel.from_pretrained(path)
    for key, tensor in model.networks[0].state_dict().items():
        assert torch.equal(tensor, renamed[f"{name}/{key}"])
    model.save_pretrained(tmp_path / "again.safetensors")
    assert QualityModel.from_pretrained(tmp_path / "again.safetensors").row == model.row


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "ResNet50_Weights.IMAGENET1K_V2", **row(networks=["teacher"])}, "would be downloaded; pass"),
        ({"teacher": "vit_large_patch16_224", **row(networks=["teacher", "dsmix"])}, "would be downloaded; pass"),
        ({"teacher": "none", **row(networks=["teacher"])}, "needs a teacher"),
        ({"teacher": "hf-hub:somebody/something"}, "teacher should be 'efficientnet_lite0'"),
        ({"teacher": "../../secret"}, "teacher should be 'efficientnet_lite0'"),
        ({"teacher": ["efficientnet_lite0"]}, "teacher should be str, got list"),
        ({"backbone": "hf-hub:somebody/something"}, "backbone should be one of 'efficientnet_lite0', "),
        ({"backbone": "local-dir:/somewhere"}, "backbone should be one of 'efficientnet_lite0', "),
        ({"backbone": "eva02_enormous_patch14_clip_224"}, "is unknown"),
        ({"backbone": "resnet50"}, "is unknown"),
        ({"backbone": 3}, "backbone should be str, got int"),
        (row(networks=["dsmix"] * 2), "networks should be different ones"),
        (row(networks=["dsmix"] * 300), "networks should be 1 to 8, got 300"),
        (row(networks=[]), "networks should be 1 to 8, got 0"),
        (row(networks=["nobody"]), "is unknown"),
        (row(networks=["dsmix+"]), "networks should have names such as 'dsmix'"),
        (row(networks=["+".join(["dsmix"] * 9)]), "networks should have names such as 'dsmix'"),
        (row(networks=[["dsmix"]]), "networks should have names such as 'dsmix'"),
        (row(networks="dsmix"), "networks should be list, got str"),
        (row(networks=["dsmix", "cutmix"]), "should have shape|is missing"),
        (row(last_layer_only=True), r"'probe/\w+' should have shape \(5120,\), got"),
        (row(last_layer_only=1), "last_layer_only should be bool, got int"),
        (row(more=1), "its row should have the entries title, networks, last_layer_only, got"),
        ({"row": None}, "row should be dict, got NoneType"),
        ({"intercept": [0.5]}, "intercept should be float, got list"),
        ({"intercept": float("nan")}, "intercept should be finite, got nan"),
        ({"intercept": float("inf")}, "intercept should be finite, got inf"),
        ({"intercept": "0.5"}, "intercept should be float, got str"),
        ({"hidden_units": 2}, "'probe/hidden_weights' is missing"),
        ({"hidden_units": -1}, "hidden_units should be 0 to 4096, got -1"),
        ({"hidden_units": 10**12}, "hidden_units should be 0 to 4096, got 1000000000000"),
        ({"hidden_units": True}, "hidden_units should be 0 to 4096, got True"),
        ({"hidden_units": None}, "hidden_units should be 0 to 4096, got None"),
        ({"autocast": "yes"}, "autocast should be bool, got str"),
        ({"target": "MOS\n\x1b[2J"}, "target should be one line of at most 1000 characters"),
        ({"remark": "x" * 5000}, "remark should be one line of at most 1000 characters"),
        ({"device": "cuda"}, "its description should have the entries"),
    ],
)  # fmt: skip
def test_descriptions_that_do_not_fit(tensors, tmp_path, changes, message):
    path = write(tmp_path / "model.safetensors", {**DESCRIPTION, **changes}, tensors)
    start, peak = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message) as caught:
        QualityModel.from_pretrained(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300_000  # kB on Linux


@pytest.mark.parametrize("description", [None, [], "text", 3, {}, {"row": {}}])
def test_descriptions_of_other_types(tensors, tmp_path, description):
    path = write(tmp_path / "model.safetensors", description, tensors)
    with pytest.raises(ValueError, match=r"model.safetensors does not fit a QualityModel: its description should"):
        QualityModel.from_pretrained(path)


def test_a_description_that_is_nested_without_end(tensors, tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(tensors, path, {KIND: "[" * 100_000})
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        QualityModel.from_pretrained(path)


WEIGHT, VARIANCE, COUNT = (
    f"dsmix/network._{name}" for name in ("conv_stem.weight", "bn0.running_var", "bn0.num_batches_tracked")
)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("probe/mean", lambda tensor: None, "'probe/mean' is missing"),
        (WEIGHT, lambda tensor: None, "_conv_stem.weight' is missing"),
        ("probe/more", lambda tensor: torch.ones(1), "'probe/more' is unknown"),
        ("cutmix/weight", lambda tensor: torch.ones(1), "'cutmix/weight' is unknown"),
        ("probe/low", lambda tensor: tensor[:-1].clone(), r"'probe/low' should have shape \(8384,\), got \(8383,\)"),
        ("probe/scale", lambda tensor: tensor[:1].clone(), r"'probe/scale' should have shape"),
        ("probe/mean", lambda tensor: tensor.view(1, -1), r"'probe/mean' should have shape"),
        ("probe/mean", lambda tensor: tensor.long(), r"'probe/mean' should be torch.float32, got I64"),
        ("probe/mean", lambda tensor: tensor.bool(), r"'probe/mean' should be torch.float32, got BOOL"),
        (WEIGHT, lambda tensor: tensor.to(torch.float8_e4m3fn), r"weight' should be torch.float32, got F8_E4M3"),
        (COUNT, lambda tensor: tensor.float(), r"num_batches_tracked' should be torch.int64, got F32"),
        ("probe/mean", lambda tensor: tensor * torch.nan, "'probe/mean' has values that are not finite"),
        ("probe/coefficients", lambda tensor: tensor / 0, "'probe/coefficients' has values that are not finite"),
        (WEIGHT, lambda tensor: tensor * torch.inf, "_conv_stem.weight' has values that are not finite"),
        (VARIANCE, lambda tensor: -tensor, "running_var' is a variance and has values below 0"),
        ("probe/scale", lambda tensor: 0 * tensor, r"scale should be above 0, got 0.0"),
        ("probe/scale", lambda tensor: -tensor, r"scale should be above 0, got -1.0"),
        ("probe/low", lambda tensor: 2 * tensor, r"low should not be above high"),
        ("probe/hidden_weights", lambda tensor: torch.ones(2, 8384), "'probe/hidden_weights' is unknown"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(tensors, tmp_path, name, change, message):
    changed = {**tensors, name: change(tensors.get(name))}
    changed = {key: tensor for key, tensor in changed.items() if tensor is not None}
    path = write(tmp_path / "model.safetensors", DESCRIPTION, changed)
    with pytest.raises(ValueError, match=message) as caught:
        QualityModel.from_pretrained(path)
    assert str(path) in str(caught.value)


def test_a_teacher_is_downloaded_only_when_that_is_allowed(tensors, tmp_path, monkeypatch):
    asked = []

    def build(name):
        asked.append(name)
        return build_backbone("resnet18", "random").eval().requires_grad_(False)

    monkeypatch.setattr("dsmix_aug.nriqa.quality_model_file.build_teacher", build)
    width = 4 * sum(build("resnet18").channels)
    probe = {f"probe/{name}": torch.ones(width) for name in ARRAYS}
    description = {**DESCRIPTION, "teacher": "resnet18", **row(networks=["teacher"])}
    path = write(tmp_path / "model.safetensors", description, probe)
    asked.clear()
    with pytest.raises(ValueError, match=r"model.safetensors needs the weights of 'resnet18', which it does not hold"):
        QualityModel.from_pretrained(path)
    assert not asked
    assert QualityModel.from_pretrained(path, allow_download=True).teacher == "resnet18"
    assert asked == ["resnet18"]


def test_only_names_without_a_download_count_as_such():
    assert not teachers.is_downloaded("efficientnet_lite0")
    assert not teachers.is_downloaded("none")
    assert teachers.is_downloaded("resnet18")


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "device should be one that torch knows, .* got 'gpu'"), ("cuda", "device: 'cuda' is not there")],
)
def test_a_device_that_is_not_there_is_not_the_files_fault(name, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=message) as caught:
        QualityModel.from_pretrained("small", name)
    assert "QualityModel" not in str(caught.value)


def test_what_is_saved_is_read_again_with_a_checksum(tensors, tmp_path):
    model = QualityModel.from_pretrained(write(tmp_path / "old.safetensors", DESCRIPTION, tensors))
    path = tmp_path / "new.safetensors"
    model.save_pretrained(path)
    assert QualityModel.from_pretrained(path).row == model.row
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for offset in rng.integers(0, len(content), 6):
        content[offset] ^= 0x10
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"new.safetensors"):
            QualityModel.from_pretrained(path)
        content[offset] ^= 0x10
