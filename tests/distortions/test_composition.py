"""Several distortions on one image: what is drawn, what is applied, what the labels say."""

import copy
import math
import pickle
from collections import Counter

import numpy as np
import pytest
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision import tv_tensors

from dsmix_aug import DistortionBank, DSMix, RandomDistortion, Reference, sensitivity_map
from dsmix_aug.distortions import BEYOND, KADID_10K, DistortionParams, _fields

FAMILIES = {"blur", "color", "compression", "noise", "brightness", "spatial", "sharpness"}


@pytest.fixture(scope="module")
def bank() -> DistortionBank:
    return DistortionBank()


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """(3, 64, 72) float32."""
    return torch.from_numpy(skimage.data.astronaut()[60:124, 180:252].copy()).permute(2, 0, 1) / 255


def images(count: int, size: int = 48) -> torch.Tensor:
    return torch.zeros(count, 3, size, size)


class TestFamilies:
    def test_seven_hold_every_type_once(self):
        families = DistortionBank(KADID_10K + BEYOND).families
        assert set(families) == FAMILIES
        assert sorted(sum(families.values(), ())) == sorted(KADID_10K + BEYOND)

    def test_are_those_of_kadid_10k(self, bank):
        assert bank.families["blur"] == ("gaussian_blur", "lens_blur", "motion_blur")
        assert bank.families["compression"] == ("jpeg2000", "jpeg")
        assert bank.families["sharpness"] == ("high_sharpen", "contrast_change")
        assert [len(names) for names in bank.families.values()] == [3, 5, 2, 5, 3, 5, 2]

    def test_follow_the_bank(self):
        assert DistortionBank(["jpeg", "white_noise", "jpeg2000"]).families == {
            "compression": ("jpeg", "jpeg2000"),
            "noise": ("white_noise",),
        }


class TestDraws:
    @pytest.mark.parametrize(("given", "low", "high"), [((1, 4), 1, 4), (3, 3, 3), ((0, 2), 0, 2), ((7, 7), 7, 7)])
    def test_number_is_uniform_and_families_are_distinct(self, bank, given, low, high):
        drawn = bank.make_composed_params(images(600), given)
        counts = Counter(map(len, drawn))
        assert set(counts) == set(range(low, high + 1))
        share = 1 / (high - low + 1)
        for count in counts.values():
            assert abs(count - 600 * share) <= 5 * math.sqrt(600 * share * (1 - share))
        for steps in drawn:
            families = [bank[step.type].family for step in steps]
            assert len(set(families)) == len(families)

    def test_order_and_types_are_uniform(self, bank):
        """Each family comes first in one sample of seven, and each type of a family as often as the others."""
        first = [steps[0] for steps in bank.make_composed_params(images(2800), (1, 4))]
        families = Counter(bank[step.type].family for step in first)
        assert set(families) == FAMILIES
        assert max(abs(count - 400) for count in families.values()) < 5 * math.sqrt(2800 / 7 * 6 / 7)
        for names in bank.families.values():
            counts = Counter(step.type for step in first if step.type in names)
            expected = sum(counts.values()) / len(names)
            assert max(abs(counts[name] - expected) for name in names) < 5 * math.sqrt(expected)

    def test_levels_are_uniform_and_change_the_image(self, bank):
        steps = [step for sample in bank.make_composed_params(images(1000), 7) for step in sample]
        levels = Counter(step.level for step in steps if step.type == "jpeg")
        assert set(levels) == {1, 2, 3, 4, 5}
        expected = sum(levels.values()) / 5
        assert max(abs(count - expected) for count in levels.values()) < 5 * math.sqrt(expected)
        assert {step.level for step in steps if step.type == "gaussian_blur"} == {2, 3, 4, 5}
        assert {step.level for step in steps if step.type == "mean_shift"} == {1, 2, 4, 5}

    def test_level_probabilities(self):
        """Half-normal as in ARNIQA, weights that do not sum to 1, and over the levels that change the image."""
        bank = DistortionBank(["jpeg", "motion_blur"])
        weights = [math.exp(-(i**2) / (2 * 2.5**2)) for i in range(5)]
        drawn = bank.make_composed_params(images(2500), 2, level_probabilities=weights)
        steps = [step for sample in drawn for step in sample]
        for name, possible in (("jpeg", (1, 2, 3, 4, 5)), ("motion_blur", (2, 3, 4, 5))):
            total = sum(weights[level - 1] for level in possible)
            levels = Counter(step.level for step in steps if step.type == name)
            assert sum(levels.values()) == 2500
            for level in possible:
                share = weights[level - 1] / total
                assert abs(levels[level] - 2500 * share) < 5 * math.sqrt(2500 * share * (1 - share))

    def test_level_probabilities_follow_the_levels_of_the_bank(self):
        bank = DistortionBank(["jpeg"], levels=(5, 2))
        drawn = bank.make_composed_params(images(50), 1, level_probabilities=np.array([0.0, 3.0]))
        assert {steps[0].level for steps in drawn} == {2}

    def test_types_without_a_level_that_changes_the_image_are_left_out(self):
        bank = DistortionBank(["gaussian_blur", "jpeg", "motion_blur", "lens_blur"], levels=(1,))
        drawn = bank.make_composed_params(images(60), 2)
        assert {step.type for steps in drawn for step in steps} == {"jpeg", "lens_blur"}
        only_pristine = DistortionBank(["motion_blur"], levels=(1,))
        assert torch.equal(RandomDistortion(only_pristine)(images(2)), images(2))

    def test_seed_reproduces(self, bank):
        first, second = (
            bank.make_composed_params(images(20), (1, 7), generator=torch.Generator().manual_seed(3)) for _ in range(2)
        )
        assert repr(first) == repr(second)
        state = torch.get_rng_state()
        bank.make_composed_params(images(20), (1, 7), generator=torch.Generator())
        assert torch.equal(torch.get_rng_state(), state)


class TestApply:
    @pytest.mark.parametrize("range_mode", ["clip", "kadis"])
    def test_is_one_distortion_after_the_other(self, photo, range_mode):
        bank = DistortionBank(range_mode=range_mode)
        batch = photo.expand(12, -1, -1, -1)
        drawn = bank.make_composed_params(batch, (0, 4))
        distorted = bank.apply(batch, drawn)
        for steps, result in zip(drawn, distorted, strict=True):
            expected = photo
            for step in steps:
                expected = bank.apply(expected, [step])
            assert torch.equal(result, expected), steps

    def test_sample_does_not_depend_on_its_batch(self, bank, photo):
        batch = photo.expand(16, -1, -1, -1)
        drawn = bank.make_composed_params(batch, (0, 5))
        whole = bank.apply(batch, drawn)
        order = torch.randperm(16).tolist()
        assert torch.equal(bank.apply(batch, [drawn[i] for i in order]), whole[order])
        for i in range(16):
            assert torch.equal(bank.apply(photo, [drawn[i]]), whole[i])

    def test_single_entries_and_compositions_mix(self, bank, photo):
        one = DistortionParams("jpeg", 5, {})
        pristine, single, tupled, listed = bank.apply(photo.expand(4, -1, -1, -1), [(), one, (one,), [one]])
        assert torch.equal(pristine, photo)
        assert torch.equal(single, bank["jpeg"](photo, 5))
        assert torch.equal(single, tupled)
        assert torch.equal(single, listed)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
    def test_pixels_are_rounded_once(self, bank, photo, dtype):
        batch = (photo * 255).round().to(dtype) if dtype == torch.uint8 else photo.to(dtype)
        steps = (DistortionParams("darken", 5, {}), DistortionParams("brighten", 3, {}))
        exact = (batch.double() / 255 if dtype == torch.uint8 else batch.double())[None]
        for step in steps:
            exact = bank.apply(exact, [step])
        result = bank.apply(batch[None], [steps])
        assert result.dtype == dtype
        if dtype == torch.uint8:
            assert (result / 255.0 - exact).abs().max() <= 0.5 / 255 + 1e-5
        else:
            torch.testing.assert_close(result, exact.to(dtype), atol=1e-5, rtol=torch.finfo(dtype).eps)

    def test_replays_and_leaves_its_input(self, bank, photo):
        batch = photo.repeat(8, 1, 1, 1)
        before = batch.clone()
        drawn = bank.make_composed_params(batch, (1, 4))
        first = bank.apply(batch, drawn)
        assert torch.equal(first, bank.apply(batch, copy.deepcopy(drawn)))
        assert torch.equal(first, bank.apply(batch, pickle.loads(pickle.dumps(drawn))))
        assert torch.equal(batch, before)
        assert (first != batch).flatten(1).any(1).all()

    def test_samples_of_one_type_and_step_are_processed_together(self, bank, photo, monkeypatch):
        sizes = []
        blur = bank["gaussian_blur"]
        distort = blur.distort

        def counted(images, values, draws):
            sizes.append(len(images))
            return distort(images, values, draws)

        monkeypatch.setattr(blur, "distort", counted)
        blurred, noisy = DistortionParams("gaussian_blur", 3, {}), DistortionParams("white_noise", 2, {"seed": 1})
        bank.apply(photo.expand(5, -1, -1, -1), [(blurred, noisy), (noisy, blurred), (blurred,), blurred, ()])
        assert sizes == [3, 1]

    @pytest.mark.fake_cuda
    def test_no_host_round_trip_on_cuda(self, monkeypatch):
        for kind in ("normal_fields", "uniform_fields"):  # no CUDA generator can be made without CUDA
            monkeypatch.setattr(_fields, kind, lambda seeds, shape, like: like.new_empty((len(seeds), *shape)))
        bank = DistortionBank([name for name in KADID_10K if name not in ("jpeg2000", "color_quantization")])
        drawn = bank.make_composed_params(images(10), (0, 7))
        with FakeTensorMode(allow_non_fake_inputs=False):
            batch = torch.empty(10, 3, 48, 48, dtype=torch.uint8, device="cuda")
            distorted = bank.apply(batch, drawn)
        assert (distorted.device.type, distorted.shape, distorted.dtype) == ("cuda", batch.shape, torch.uint8)


class TestLabels:
    def test_multi_hot_names_each_distortion(self, bank):
        jpeg, blur = DistortionParams("jpeg", 5, {}), DistortionParams("gaussian_blur", 2, {})
        labels = bank.encode_multi_hot([(jpeg, blur), (), jpeg, (DistortionParams("motion_blur", 1, {}), jpeg)])
        assert labels.dtype == torch.float32
        assert [row.nonzero().flatten().tolist() for row in labels] == [
            sorted([bank.encode("jpeg", 5), bank.encode("gaussian_blur", 2)]),
            [0],
            [bank.encode("jpeg", 5)],
            [bank.encode("jpeg", 5)],
        ]
        assert set(labels.unique().tolist()) == {0.0, 1.0}

    def test_of_the_transform_are_what_was_applied(self, bank, photo):
        transform = RandomDistortion(bank, p=0.7, return_labels=True, num_distortions=(0, 3))
        batch = photo.expand(24, -1, -1, -1)
        torch.manual_seed(5)
        distorted, labels = transform(batch)
        torch.manual_seed(5)
        drawn = transform.make_params([batch])
        assert labels.shape == (24, 122)
        assert torch.equal(bank.apply(batch, drawn["distortions"]), distorted)
        for image, row, entry in zip(distorted, labels, drawn["distortions"], strict=True):
            steps = entry if not isinstance(entry, DistortionParams) else ()
            assert row.nonzero().flatten().tolist() == sorted(bank.encode(*step[:2]) for step in steps) or [0]
            assert torch.equal(image, photo) == bool(row[0])

    def test_single_image(self, photo):
        _, labels = RandomDistortion(return_labels=True, num_distortions=2)(photo)
        assert labels.shape == (122,)
        assert labels.sum() == 2

    def test_one_distortion_has_an_index(self, photo):
        transform = RandomDistortion(return_labels=True, num_distortions=1, level_probabilities=[0, 0, 0, 0, 1])
        distorted, labels = transform(photo.expand(20, -1, -1, -1))
        assert labels.dtype == torch.int64
        assert {transform.bank.decode(label)[1] for label in labels} == {5}
        assert (distorted != photo).flatten(1).any(1).all()


class TestBesideAReference:
    def test_maps_and_mixing_work_as_before(self, bank, photo):
        clean = photo.repeat(6, 1, 1, 1)
        transform = RandomDistortion(bank, return_labels=True, num_distortions=(1, 3))
        (distorted, reference), labels = transform(tv_tensors.Image(clean), Reference(clean))
        assert torch.equal(reference.as_subclass(torch.Tensor), clean)
        dsm = sensitivity_map(distorted, reference, patch_size=16)
        assert bool((dsm.as_subclass(torch.Tensor).flatten(1).sum(1) > 0).all())
        mixed, mixed_labels, _ = DSMix(num_classes=bank.num_classes, patch_size=16)(distorted, labels, reference)
        assert mixed.shape == clean.shape
        # A mixed row is lam a + (1 - lam) b: its sum lies between those of the two samples it is made of.
        assert mixed_labels.shape == labels.shape
        partner = labels.roll(1, 0)
        low, high = torch.minimum(labels.sum(1), partner.sum(1)), torch.maximum(labels.sum(1), partner.sum(1))
        assert bool(((mixed_labels.sum(1) >= low - 1e-5) & (mixed_labels.sum(1) <= high + 1e-5)).all())
        assert not bool((mixed_labels > 0)[(labels + partner) == 0].any())


class TestTransform:
    def test_copies_and_repr(self, bank, photo):
        transform = RandomDistortion(bank, num_distortions=(1, 4), level_probabilities=[5, 4, 3, 2, 1])
        copied = pickle.loads(pickle.dumps(transform))
        torch.manual_seed(1)
        expected = transform(photo)
        torch.manual_seed(1)
        assert torch.equal(copied(photo), expected)
        assert "num_distortions=(1, 4), level_probabilities=(5.0, 4.0, 3.0, 2.0, 1.0)" in repr(transform)

    def test_what_was_pickled_before_compositions_works(self, bank, photo):
        transform = RandomDistortion(bank)
        for name in ("num_distortions", "level_probabilities"):
            transform.__dict__.pop(name, None)
        copied = pickle.loads(pickle.dumps(transform))
        torch.manual_seed(1)
        expected = bank(photo)[0]
        torch.manual_seed(1)
        assert torch.equal(copied(photo), expected)


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"num_distortions": (1, 8)}, ValueError, r"num_distortions should be 0 <= low <= high <= 7.*got \(1, 8\)"),
            ({"num_distortions": (3, 2)}, ValueError, r"num_distortions should be .* got \(3, 2\)"),
            ({"num_distortions": -1}, ValueError, "num_distortions should be .* got -1"),
            ({"num_distortions": (1, 2, 3)}, TypeError, r"num_distortions should be an integer or \(low, high\)"),
            ({"num_distortions": 1.5}, TypeError, "num_distortions should be an integer or .* got 1.5"),
            ({"num_distortions": True}, TypeError, "num_distortions should be an integer or .* got True"),
            (
                {"level_probabilities": [1, 2]},
                ValueError,
                r"one entry for each of levels .* got \[1, 2\]",
            ),
            ({"level_probabilities": [1, 1, 1, 1, -1]}, ValueError, "should be finite and not negative"),
            ({"level_probabilities": [1, 1, 1, 1, float("nan")]}, ValueError, "should be finite and not negative"),
            ({"level_probabilities": 0.5}, TypeError, "level_probabilities should be a sequence of numbers, got 0.5"),
            ({"level_probabilities": "abcde"}, TypeError, "level_probabilities should be a sequence of numbers"),
            ({"level_probabilities": [0, 0, 0, 0, 0]}, ValueError, "number of families to draw from, got"),
        ],
    )
    def test_settings(self, bank, settings, error, message):
        state = torch.get_rng_state()
        with pytest.raises(error, match=message):
            bank.make_composed_params(torch.zeros(2, 3, 64, 64), **settings)
        with pytest.raises(error, match=message):
            RandomDistortion(bank, **settings)
        assert torch.equal(torch.get_rng_state(), state)

    def test_labels_without_a_pristine_class(self):
        bank = DistortionBank(["jpeg", "white_noise"], pristine=False)
        with pytest.raises(ValueError, match="bank should have a pristine class"):
            RandomDistortion(bank, return_labels=True, num_distortions=(0, 2))
        assert RandomDistortion(bank, return_labels=True, num_distortions=(1, 2))(images(2))[1].shape == (2, 10)

    def test_images_that_do_not_fit(self, bank):
        state = torch.get_rng_state()
        with pytest.raises(ValueError, match="needs 3 colour channels, got 1; a bank of those that take such images"):
            bank.make_composed_params(torch.zeros(2, 1, 64, 64))
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("entry", ["jpeg", ("jpeg", 3, {}), 7, None, [("jpeg", 3, {})]])
    def test_entries_of_another_type(self, bank, photo, entry):
        with pytest.raises(TypeError, match="params should hold DistortionParams or tuples of them, got"):
            bank.apply(photo, [entry])
