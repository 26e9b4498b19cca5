"""RandomDistortion as a torchvision v2 transform."""

import copy
import pickle
from collections import OrderedDict, namedtuple

import PIL.Image
import pytest
import torch
from torch.utils._pytree import tree_structure
from torch.utils.data import DataLoader, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, RandomDistortion, Reference

Pair = namedtuple("Pair", ["image", "label"])


@pytest.fixture
def bank() -> DistortionBank:
    return DistortionBank(["mean_shift", "white_noise"])


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 20, 24)


class TestStructure:
    @pytest.mark.parametrize(
        "build",
        [
            lambda image: (image, 3),
            lambda image: [image, "text", None],
            lambda image: {"image": image, "label": 2},
            lambda image: OrderedDict(b=image, a=[1, {"deep": (2.0, "x")}]),
            lambda image: Pair(image, 1),
            lambda image: image,
        ],
    )
    def test_structure_is_kept(self, bank, images, build):
        sample = build(images)
        distorted = RandomDistortion(bank)(sample)
        assert type(distorted) is type(sample)
        assert tree_structure(distorted) == tree_structure(sample)

    def test_several_inputs_come_back_as_a_tuple(self, bank, images):
        names = ["a"] * 6
        out = RandomDistortion(bank)(images, names)
        assert isinstance(out, tuple)
        assert out[1][0] is names[0]

    def test_everything_else_is_the_same_object(self, bank, images):
        others = {"array": object(), "mask": tv_tensors.Mask(torch.zeros(6, 20, 24)), "reference": Reference(images)}
        out = RandomDistortion(bank)({"image": tv_tensors.Image(images), "tensor": torch.zeros(6), **others})
        assert all(out[key] is value for key, value in others.items())
        assert type(out["image"]) is tv_tensors.Image

    def test_only_the_first_pure_tensor_is_an_image(self, bank, images):
        first, second = images, images.clone()
        out = RandomDistortion(DistortionBank(["white_noise"], pristine=False))(first, second)
        assert not torch.equal(out[0], first)
        assert out[1] is second

    def test_images_of_one_sample_share_their_distortion(self, images):
        bank = DistortionBank(["white_noise", "motion_blur"], pristine=False)
        first, second = RandomDistortion(bank)(tv_tensors.Image(images), tv_tensors.Image(images.clone()))
        assert torch.equal(first, second)

    def test_reference_and_distorted_come_out_together(self, bank, images):
        distorted, reference = RandomDistortion(bank)(tv_tensors.Image(images), Reference(images))
        assert torch.equal(reference.as_subclass(torch.Tensor), images)
        assert not torch.equal(distorted, images)


class TestLabels:
    def test_labels_name_what_was_applied(self, bank, images):
        transform = RandomDistortion(bank, p=0.5, return_labels=True)
        for _ in range(20):
            (distorted, name), labels = transform(images, "name")
            assert name == "name"
            changed = (distorted != images).flatten(1).any(1)
            assert torch.equal(changed, labels != 0)

    def test_single_image_has_a_0d_label(self, bank, images):
        _, label = RandomDistortion(bank, return_labels=True)(images[0])
        assert label.shape == ()
        assert label.dtype == torch.int64

    @pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
    def test_p_is_per_sample(self, p):
        images = torch.full((4000, 1, 2, 2), 0.5)
        labels = RandomDistortion(DistortionBank(["white_noise"]), p=p, return_labels=True)(images)[1]
        assert ((labels != 0).double().mean() - p * 5 / 6).abs() < 0.04  # one class of six is pristine


class TestContract:
    def test_is_a_v2_transform(self, bank):
        transform = RandomDistortion(bank)
        assert isinstance(transform, v2.Transform)
        assert transform.state_dict() == {}
        for settings in ("bank=DistortionBank(2 distortions", "p=1.0", "return_labels=False"):
            assert settings in repr(transform)

    def test_in_a_pipeline(self, bank):
        pipeline = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomApply([RandomDistortion(bank)], p=0.9),
                v2.RandomChoice([RandomDistortion(bank), RandomDistortion(bank)]),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )
        out = pipeline(tv_tensors.Image(torch.randint(0, 256, (3, 20, 24), dtype=torch.uint8)), 4)
        assert out[0].dtype == torch.float32
        assert out[1] == 4

    def test_params_replay_bitwise(self, images):
        transform = RandomDistortion(DistortionBank(["white_noise", "motion_blur", "multiplicative_noise"]))
        params = transform.make_params([images])
        assert torch.equal(transform.transform(images, params), transform.transform(images, params))

    def test_seed_and_generator(self, bank, images):
        transform = RandomDistortion(bank, p=0.5)
        torch.manual_seed(7)
        first = transform(images)
        torch.manual_seed(7)
        assert torch.equal(transform(images), first)
        state = torch.get_rng_state()
        results = [transform(images, generator=torch.Generator().manual_seed(2)) for _ in range(2)]
        assert torch.equal(*results)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
    def test_copies(self, bank, images, copy_of):
        transform = RandomDistortion(bank)
        copied = copy_of(transform)
        torch.manual_seed(1)
        expected = transform(images)
        torch.manual_seed(1)
        assert torch.equal(copied(images), expected)

    def test_as_a_collate_in_workers(self, bank):
        loader = DataLoader(
            list(torch.rand(8, 3, 20, 24)), batch_size=4, num_workers=2, collate_fn=_DistortAfterCollate(bank)
        )
        assert [images.shape for images, _ in loader] == [(4, 3, 20, 24)] * 2

    def test_default_bank_is_the_whole_one(self):
        assert len(RandomDistortion().bank) == 25


class _DistortAfterCollate:
    def __init__(self, bank: DistortionBank) -> None:
        self.distort = RandomDistortion(bank, return_labels=True)

    def __call__(self, samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.distort(default_collate(samples))


class TestErrors:
    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
    def test_p(self, p):
        with pytest.raises(ValueError, match=r"`p` should be a floating point value in the interval \[0.0, 1.0\]"):
            RandomDistortion(p=p)

    def test_bank(self):
        with pytest.raises(TypeError, match="bank should be a DistortionBank, got list"):
            RandomDistortion(["jpeg"])

    def test_labels_without_a_pristine_class(self):
        with pytest.raises(ValueError, match="bank should have a pristine class"):
            RandomDistortion(DistortionBank(["jpeg"], pristine=False), p=0.5, return_labels=True)

    @pytest.mark.parametrize(
        ("inputs", "error", "message"),
        [
            ((PIL.Image.new("RGB", (8, 8)),), TypeError, "does not support PIL images"),
            ((tv_tensors.Video(torch.zeros(2, 3, 8, 8)),), TypeError, "does not support PIL images and videos"),
            (("text", 3), TypeError, "got no image in the sample"),
            ((torch.zeros(8, 8),), ValueError, "images should have shape"),
            ((torch.full((3, 8, 8), 2.0),), ValueError, "float values should lie in"),
            (
                (tv_tensors.Image(torch.zeros(2, 3, 8, 8)), tv_tensors.Image(torch.zeros(3, 3, 8, 8))),
                ValueError,
                "images in a sample should have one batch size",
            ),
        ],
    )
    def test_inputs_are_refused_before_drawing(self, bank, inputs, error, message):
        state = torch.get_rng_state()
        with pytest.raises(error, match=message):
            RandomDistortion(bank)(*inputs)
        assert torch.equal(torch.get_rng_state(), state)
