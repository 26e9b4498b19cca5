"""DSMix at the edge of its domain: empty batches, odd tensors, global defaults, and messages."""

import operator
from collections import OrderedDict, UserDict
from typing import get_args

import numpy as np
import pytest
import torch
from factories import distorted_pair, photo, random_images
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DSMix, Reference, SensitivityMap, functional, sensitivity_map
from dsmix_aug.mixing.boxes import BoxMode, PartnerMode
from dsmix_aug.mixing.functional import WEIGHTINGS, Regions, Weighting

every_setting = [
    pytest.mark.parametrize("weighting", ["mass", "retained", "area"]),
    pytest.mark.parametrize("box", ["batch", "sample"]),
    pytest.mark.parametrize("partner", ["roll", "random"]),
]


def with_every_setting(test):
    for mark in every_setting:
        test = mark(test)
    return test


def mixed_with_seed(transform, *sample, seed=0):
    torch.manual_seed(seed)
    return transform(*sample)


@pytest.fixture
def default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def default_device():
    yield torch.set_default_device
    torch.set_default_device(None)


class TestMapsWithGradient:
    @with_every_setting
    @pytest.mark.parametrize("by_getter", [False, True])
    def test_labels_are_those_without_gradient(self, weighting, box, partner, by_getter):
        images, references = distorted_pair()
        dsm = sensitivity_map(images, references)
        getter = operator.itemgetter("map") if by_getter else None
        transform = DSMix(num_classes=4, weighting=weighting, box=box, partner=partner, map_getter=getter)
        expected = mixed_with_seed(transform, {"image": images, "label": torch.arange(4), "map": dsm})
        sample = {"image": images, "label": torch.arange(4), "map": dsm.clone().requires_grad_()}
        mixed = mixed_with_seed(transform, sample)
        assert torch.equal(mixed["label"].detach(), expected["label"])
        assert torch.equal(mixed["map"].detach(), expected["map"])
        assert torch.equal(mixed["image"], expected["image"])

    @pytest.mark.parametrize("weighting", ["mass", "retained"])
    def test_gradient_of_lambda(self, weighting):
        """Against finite differences, regions without distortion among them."""
        maps = random_images(3, 4, 4, dtype=torch.float64)
        maps[1] = 0
        maps.requires_grad_()
        images, labels = torch.zeros(3, 1, 32, 32), torch.eye(3, dtype=torch.float64)
        boxes, partner = torch.tensor([[8, 0, 24, 16]]), torch.tensor([2, 0, 1])

        def lam(maps):
            return functional.dsmix(images, labels, maps, boxes, partner, patch_size=8, weighting=weighting)[2]

        assert lam(maps).sum().backward() is None
        assert maps.grad.isfinite().all()
        smooth = random_images(3, 4, 4, dtype=torch.float64, seed=4).add(0.1).requires_grad_()
        assert torch.autograd.gradcheck(lam, smooth)


class TestWeightings:
    @pytest.mark.parametrize("name", ["visibility", "", None, ["mass"]])
    def test_unknown_ones_are_named(self, name):
        maps, counts = torch.rand(2, 2, 2), torch.ones(1, 2, 2, dtype=torch.int64)
        images, boxes, partner = torch.zeros(2, 1, 32, 32), torch.tensor([[0, 0, 16, 16]]), torch.tensor([1, 0])
        known = r"weighting should be one of \('mass', 'retained', 'area'\), got "
        with pytest.raises(ValueError, match=known):
            functional.mixing_weight(maps, maps, counts, counts, name)
        with pytest.raises(ValueError, match=known):
            functional.dsmix(images, torch.eye(2), maps, boxes, partner, weighting=name)
        with pytest.raises(ValueError, match=known):
            DSMix(weighting=name)

    def test_types_list_what_there_is(self):
        assert set(get_args(Weighting)) == set(WEIGHTINGS)
        for mode in get_args(BoxMode):
            assert DSMix(box=mode).box == mode
        for mode in get_args(PartnerMode):
            assert DSMix(partner=mode).partner == mode

    def test_a_new_one_is_one_entry(self, monkeypatch):
        def half(regions: Regions) -> torch.Tensor:
            return 0.5 * (WEIGHTINGS["mass"](regions) + WEIGHTINGS["area"](regions))

        monkeypatch.setitem(WEIGHTINGS, "half", half)
        images, references = distorted_pair()
        lam = {}
        for weighting in ("half", "mass", "area"):
            torch.manual_seed(3)
            params = DSMix(weighting=weighting, box="sample").make_params([images, Reference(references)])
            lam[weighting] = params["lam"]
        torch.testing.assert_close(lam["half"], (lam["mass"] + lam["area"]) / 2)


class TestEmptyBatch:
    @with_every_setting
    @pytest.mark.parametrize("source", ["map", "reference", "getter", "estimator"])
    @pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
    def test_comes_back_as_from_cutmix(self, weighting, box, partner, source, p, dtype):
        images, labels = torch.zeros(0, 3, 32, 40, dtype=dtype), torch.zeros(0, dtype=torch.int64)
        dsm = torch.zeros(0, 2, 3)
        extra = {
            "map": (SensitivityMap(dsm, canvas_size=(32, 40)),),
            "reference": (Reference(images.clone()),),
        }.get(source, ())
        transform = DSMix(
            num_classes=5,
            weighting=weighting,
            box=box,
            partner=partner,
            p=p,
            map_getter=(lambda sample: dsm) if source == "getter" else None,
            estimator=(lambda x: dsm) if source == "estimator" else None,
        )
        mixed = transform(images, labels, *extra)
        expected = v2.CutMix(num_classes=5)(images, labels)
        for leaf, like in zip(mixed, expected, strict=False):
            assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
        assert [type(leaf) for leaf in mixed[2:]] == [type(leaf) for leaf in extra]


class TestOddTensors:
    @with_every_setting
    def test_negative_bit(self, weighting, box, partner):
        """``x.conj().imag`` is a lazy negation, which NumPy cannot view."""
        images, references = distorted_pair()

        def lazy(x):
            negated = torch.complex(torch.zeros_like(x), -x).conj().imag
            assert negated.is_neg()
            return negated

        transform = DSMix(weighting=weighting, box=box, partner=partner)
        scores = torch.tensor([1.0, 2.0, 3.0, 4.0])
        dsm = sensitivity_map(images, references)
        maps = SensitivityMap(lazy(dsm.as_subclass(torch.Tensor)), canvas_size=dsm.canvas_size)
        for sample, plain in (
            ((lazy(images), lazy(scores), Reference(lazy(references))), (images, scores, Reference(references))),
            ((lazy(images), lazy(scores), maps), (images, scores, dsm)),
        ):
            for x, y in zip(mixed_with_seed(transform, *sample), mixed_with_seed(transform, *plain), strict=True):
                torch.testing.assert_close(x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor))

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int64, torch.bool, torch.complex64], ids=str)
    def test_other_dtypes_are_named(self, dtype):
        images = torch.zeros(4, 3, 32, 32).to(dtype)
        with pytest.raises(TypeError, match=f"images should be float .*uint8, got {dtype}"):
            DSMix(num_classes=4, weighting="area")(images, torch.arange(4))

    def test_sparse_images_are_named(self):
        with pytest.raises(TypeError, match=r"images should be a dense tensor, got torch\.sparse_coo"):
            DSMix(num_classes=4, weighting="area")(torch.zeros(4, 3, 8, 8).to_sparse(), torch.arange(4))

    @pytest.mark.parametrize("value", [1e308, 1.7e308])
    def test_maps_whose_sum_is_not_finite(self, value):
        dsm = SensitivityMap(torch.full((4, 3, 4), value, dtype=torch.float64), canvas_size=(48, 64))
        state = torch.get_rng_state()
        with pytest.raises(ValueError, match=r"SensitivityMap: map values should be at most .* got 1"):
            DSMix(num_classes=4)(random_images(4, 3, 48, 64), torch.arange(4), dsm)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("value", [1e300, 1e-300])
    def test_maps_of_any_other_scale(self, value):
        images, references = distorted_pair(dtype=torch.float64)
        dsm = sensitivity_map(images, references)
        scaled = SensitivityMap.wrap(dsm.as_subclass(torch.Tensor) * value, dsm)
        labels = [mixed_with_seed(DSMix(num_classes=4), images, torch.arange(4), given)[1] for given in (dsm, scaled)]
        torch.testing.assert_close(*labels)

    @with_every_setting
    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
    @pytest.mark.parametrize("patch_size", [65, 10**9, 10**30])
    def test_a_patch_larger_than_the_image_cannot_be_cut(self, weighting, box, partner, dtype, patch_size):
        images, references = distorted_pair(dtype=dtype)
        transform = DSMix(num_classes=4, weighting=weighting, box=box, partner=partner, patch_size=patch_size)
        mixed, labels, _ = transform(images, torch.arange(4), Reference(references))
        assert torch.equal(mixed, images)
        assert torch.equal(labels, torch.eye(4))


class TestEstimator:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
    def test_may_write_to_its_input(self, dtype):
        images = random_images(4, 3, 32, 32, dtype=dtype)
        before = images.clone()

        def estimator(x):
            return x.mul_(0).add_(1).mean((1, 2, 3)).view(-1, 1, 1).expand(-1, 2, 2)

        mixed = mixed_with_seed(DSMix(num_classes=4, estimator=estimator), images, torch.arange(4))
        expected = mixed_with_seed(DSMix(num_classes=4, weighting="area"), before, torch.arange(4))
        assert torch.equal(images, before)
        assert all(torch.equal(x, y) for x, y in zip(mixed, expected, strict=True))


class TestMapGetter:
    def test_a_view_of_a_field_is_refused(self):
        """The field would come back unmixed."""
        images, references = distorted_pair()
        field = sensitivity_map(images, references).as_subclass(torch.Tensor).unsqueeze(1)
        transform = DSMix(num_classes=4, map_getter=lambda sample: sample["map"][:, 0])
        state = torch.get_rng_state()
        with pytest.raises(
            ValueError, match=r"map_getter should return one of the sample's own tensors, .*\(4, 1, 3, 4"
        ):
            transform({"image": images, "label": torch.arange(4), "map": field})
        assert torch.equal(torch.get_rng_state(), state)

    def test_a_view_of_what_is_mixed_is_taken(self):
        images, _ = distorted_pair(channels=4, height=4, width=4)
        transform = DSMix(num_classes=4, patch_size=1, map_getter=lambda sample: sample[0][:, 3])
        mixed, _ = mixed_with_seed(transform, images, torch.arange(4))
        expected, _ = mixed_with_seed(DSMix(num_classes=4, patch_size=1, weighting="area"), images, torch.arange(4))
        assert torch.equal(mixed, expected)

    def test_a_new_tensor_is_taken(self):
        images, references = distorted_pair()
        dsm = sensitivity_map(images, references).as_subclass(torch.Tensor)
        transform = DSMix(num_classes=4, map_getter=lambda sample: sample["map"][:, 0].clone())
        sample = {"image": images, "label": torch.arange(4), "map": dsm.unsqueeze(1)}
        assert transform(sample)["map"] is sample["map"]


class TestGlobalDefaults:
    SETTINGS = {"num_classes": 4, "box": "sample", "partner": "random", "p": 0.5}  # noqa: RUF012

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("own_generator", [False, True])
    def test_dtype(self, dtype, own_generator, default_dtype):
        images, references = distorted_pair()
        results = []
        for default in (torch.float32, dtype):
            default_dtype(default)
            transform = DSMix(**self.SETTINGS)
            torch.manual_seed(5)
            generator = torch.Generator().manual_seed(5) if own_generator else None
            results.append(transform(images, torch.arange(4), Reference(references), generator=generator))
        for x, y in zip(*results, strict=True):
            assert x.dtype == y.dtype
            assert torch.equal(x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor))

    def test_device(self, default_device):
        """Another default device, here "meta", changes neither draws nor where results are."""
        images, references = distorted_pair()
        results = []
        for default in (None, "meta"):
            default_device(default)
            transform = DSMix(**self.SETTINGS)
            torch.manual_seed(5)
            results.append(transform(images, torch.arange(4, device="cpu"), Reference(references)))
        for x, y in zip(*results, strict=True):
            assert torch.equal(x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor))


class TestSettings:
    def test_numpy_numbers_are_numbers(self):
        transform = DSMix(num_classes=np.int64(4), patch_size=np.uint8(8), alpha=np.float32(0.5), p=np.float64(0.25))
        assert repr(transform) == repr(DSMix(num_classes=4, patch_size=8, alpha=0.5, p=0.25))
        assert type(transform.num_classes) is type(transform.patch_size) is int

    @pytest.mark.parametrize(
        ("kwargs", "error", "message"),
        [
            ({"num_classes": True}, TypeError, "num_classes should be an integer, got True"),
            ({"num_classes": np.bool_(True)}, TypeError, "num_classes should be an integer"),
            ({"patch_size": True}, TypeError, "patch_size should be an integer, got True"),
            ({"patch_size": np.float32(16)}, TypeError, "patch_size should be an integer"),
            ({"alpha": 1e39}, ValueError, r"alpha should be positive and finite, got 1e\+39"),
            ({"alpha": 10**400}, ValueError, "alpha should be positive and finite"),
            ({"alpha": 1e-50}, ValueError, "alpha should be positive and finite, got 1e-50"),
            ({"alpha": True}, TypeError, "alpha should be a number, got True"),
            ({"p": "a"}, ValueError, "`p` should be .* Got 'a'"),
            ({"p": None}, ValueError, "`p` should be .* Got None"),
            ({"p": True}, ValueError, "`p` should be .* Got True"),
            ({"box": ["batch"]}, ValueError, r"box should be one of \('batch', 'sample'\), got \['batch'\]"),
            ({"labels_getter": "y"}, ValueError, r"'default', a callable, or None.* operator.itemgetter\('y'\)"),
        ],
    )
    def test_wrong_ones_are_named(self, kwargs, error, message):
        with pytest.raises(error, match=message):
            DSMix(**kwargs)

    @pytest.mark.parametrize("alpha", [torch.finfo(torch.float32).tiny, 1e-3, 1e38])
    def test_extreme_alphas_draw_boxes(self, alpha):
        params = DSMix(weighting="area", alpha=alpha, box="sample").make_params([torch.zeros(64, 1, 64, 64)])
        assert ((params["lam"] >= 0) & (params["lam"] <= 1)).all()

    def test_itemgetter_takes_a_key(self):
        sample = {"x": random_images(4, 3, 32, 32), "y": torch.arange(4)}
        mixed = DSMix(num_classes=4, weighting="area", labels_getter=operator.itemgetter("y"))(sample)
        assert mixed["y"].shape == (4, 4)


class TestMessages:
    """For each mistake: what was meant, and the way out, before anything is drawn."""

    @pytest.fixture(autouse=True)
    def _nothing_is_drawn(self):
        state = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), state)

    def test_reference_that_lost_its_class(self):
        images, references = distorted_pair()
        samples = list(zip(images, range(4), map(Reference, references), strict=True))
        with pytest.raises(
            ValueError,
            match=r"Item 3 of the sample.* looks like a reference that lost its type: default_collate drops TVTensors; "
            r"use collate_tv_tensors or Reference\(\.\.\.\)",
        ):
            DSMix(num_classes=4)(default_collate(samples))

    def test_nothing_that_looks_like_a_reference(self):
        with pytest.raises(ValueError, match="found no map") as error:
            DSMix(num_classes=4)(random_images(4, 3, 32, 32), torch.arange(4), torch.zeros(4, 3))
        assert "lost its type" not in str(error.value)

    @pytest.mark.parametrize(
        "sample",
        [
            (tv_tensors.Image(torch.zeros(3, 32, 32)), 3),
            (torch.zeros(3, 32, 32), 3),
            (torch.zeros(3, 32, 32), torch.tensor(3)),
            {"image": torch.zeros(3, 32, 32), "label": torch.tensor(3)},
            {"image": torch.zeros(4, 3, 32, 32), "label": 3},
            (tv_tensors.Image(torch.zeros(3, 32, 32)),),
        ],
        ids=["Image, int", "Tensor, int", "Tensor, 0-d", "dict", "int label", "Image"],
    )
    def test_one_sample_of_a_dataset(self, sample):
        message = "DSMix mixes batches: use it in collate_fn or after the DataLoader"
        with pytest.raises(ValueError, match=message):
            DSMix(num_classes=4, weighting="area")(sample)

    def test_no_batch_dimension(self):
        with pytest.raises(ValueError, match=r"images should be \(B, C, H, W\), got \(3, 96, 96\)"):
            DSMix(num_classes=4, weighting="area")(torch.zeros(3, 96, 96), torch.tensor(1))

    @pytest.mark.parametrize("kind", [UserDict, type("Fields", (dict,), {})], ids=["UserDict", "dict subclass"])
    def test_mapping_that_pytree_does_not_open(self, kind):
        sample = kind({"image": torch.zeros(4, 3, 32, 32), "labels": torch.arange(4)})
        name = kind.__name__
        with pytest.raises(ValueError, match=f"{name} is not a structure that torch's pytree opens: pass a dict"):
            DSMix(num_classes=4, weighting="area")(sample)
        assert DSMix(num_classes=4, weighting="area").transform("text", {}) == "text"

    def test_bicubic_overshoot(self):
        small = random_images(4, 3, 24, 32).round()
        images = v2.functional.resize(small, [48, 64], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        assert images.min() < 0
        with pytest.raises(ValueError, match=r"images: float values should lie in \[0, 1\].*clamp_\(0, 1\)") as error:
            DSMix(num_classes=4)(images, torch.arange(4), Reference(images.clamp(0, 1)))
        assert "Normalize" not in str(error.value)

    def test_levels_of_0_to_255(self):
        images = random_images(4, 3, 48, 64, dtype=torch.uint8)
        with pytest.raises(ValueError, match="divide by 255 or pass uint8") as error:
            DSMix(num_classes=4)(images.float(), torch.arange(4), Reference(images))
        assert "Normalize" not in str(error.value)

    @pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    def test_normalised(self, mean, std):
        images = random_images(4, 3, 48, 64)
        mean, std = ([value] * 3 if isinstance(value, float) else value for value in (mean, std))
        with pytest.raises(ValueError, match=r"before v2\.Normalize") as error:
            DSMix(num_classes=4)(v2.functional.normalize(images, mean, std), torch.arange(4), Reference(images))
        assert "255" not in str(error.value)

    def test_pil_photos(self):
        with pytest.raises(ValueError, match=r"DSMix\(\) does not support PIL images"):
            DSMix(num_classes=4)(photo(), 1)


def test_structures_that_pytree_opens_are_mixed():
    sample = OrderedDict(image=random_images(4, 3, 32, 32), labels=torch.arange(4))
    assert DSMix(num_classes=4, weighting="area")(sample)["labels"].shape == (4, 4)


def test_subclass_may_choose_the_box():
    """``make_params`` is where a subclass steps in, as in every v2 transform."""

    class LeftHalf(DSMix):
        def make_params(self, flat_inputs, generator=None, given_map=None):
            return {"box": (0, 0, 32, 48), "partner": [3, 0, 1, 2], "lam": torch.full((4,), 0.5, dtype=torch.float64)}

    images, references = distorted_pair()
    mixed, labels, _ = LeftHalf(num_classes=4)(images, torch.arange(4), Reference(references))
    assert torch.equal(mixed[..., :32], images.roll(1, 0)[..., :32])
    assert torch.equal(mixed[..., 32:], images[..., 32:])
    assert torch.equal(labels, (torch.eye(4) + torch.eye(4).roll(1, 0)) / 2)
