"""The bank as a whole: classes, inputs of every form, replay, independence, errors. The maths is tested per family."""

import contextlib
import copy
import inspect
import pickle
import random

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from dsmix_aug import DistortionBank, RandomDistortion, SeededGenerator
from dsmix_aug.distortions import BEYOND, KADID_10K, Distortion, DistortionParams, per_sample, register

IDENTITIES = {("gaussian_blur", 1), ("motion_blur", 1), ("color_saturation_lab", 1), ("mean_shift", 3)}
#: Types that hand pixels to a codec or to a dither on the host, as their docstrings say.
HOST_TYPES = {"jpeg2000", "color_quantization", "webp", "avif"}


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """(3, 72, 80) float32: a crop of a natural photo whose sides are multiples of 8 but not of 16."""
    crop = skimage.data.astronaut()[60:132, 180:260]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1) / 255


@pytest.fixture(scope="module")
def bank() -> DistortionBank:
    return DistortionBank()


def every_class(bank: DistortionBank, photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return photo.expand(bank.num_classes, -1, -1, -1), torch.arange(bank.num_classes)


class Halve(Distortion):
    """A distortion with a known result, which leaves [0, 1] below."""

    name = "halve"
    family = "brightness"
    parameter = "offset"
    values = (0.25, 0.5)

    def distort(self, images, values, draws):
        return images / 2 - per_sample(values, images)


class TestClasses:
    def test_default_bank_is_kadid_10k(self, bank):
        assert tuple(bank) == KADID_10K
        assert len(bank) == 25
        assert bank.num_classes == 1 + 125 - 4 == len(bank.class_names) == len(set(bank.class_names))
        assert bank.class_names[:3] == ["pristine", "gaussian_blur_2", "gaussian_blur_3"]

    @pytest.mark.parametrize("pristine", [True, False])
    def test_encode_is_the_inverse_of_decode(self, pristine):
        bank = DistortionBank(pristine=pristine)
        assert bank.num_classes == 121 + pristine
        for label in range(bank.num_classes):
            name, level = bank.decode(label)
            assert bank.encode(name, level) == label
            assert bank.type_names[bank.type_index[label]] == name
            assert bank.level_index[label] == level

    def test_labels_follow_the_order_of_types_and_levels(self, bank):
        expected = [("pristine", 0)] + [
            (name, level) for name in KADID_10K for level in range(1, 6) if (name, level) not in IDENTITIES
        ]
        assert [bank.decode(label) for label in range(bank.num_classes)] == expected

    def test_levels_that_change_nothing_share_the_pristine_class(self, bank):
        for name, level in IDENTITIES:
            assert bank.encode(name, level) == 0
        with pytest.raises(ValueError, match="has no class"):
            DistortionBank(pristine=False).encode("motion_blur", 1)

    def test_subset_of_types_and_levels(self):
        bank = DistortionBank(["jpeg", "mean_shift"], levels=(3, 5))
        assert bank.class_names == ["pristine", "jpeg_3", "jpeg_5", "mean_shift_5"]
        assert bank.type_index.tolist() == [0, 1, 1, 2]
        with pytest.raises(ValueError, match="has no class"):
            bank.encode("jpeg", 1)

    def test_own_distortion_beside_built_in_ones(self, photo):
        bank = DistortionBank(["jpeg", Halve()], levels=(1, 2))
        assert bank.class_names == ["pristine", "jpeg_1", "jpeg_2", "halve_1", "halve_2"]
        distorted, labels = bank(photo, labels=3)
        assert labels == 3
        torch.testing.assert_close(distorted, (photo / 2 - 0.25).clamp(0, 1))

    def test_register_refuses_a_name_that_is_taken(self):
        with pytest.raises(ValueError, match="'jpeg' is registered already"):
            register(type("Other", (Halve,), {"name": "jpeg"}))


class TestForms:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_every_class_keeps_shape_dtype_device_and_range(self, bank, photo, dtype, device):
        images, labels = every_class(bank, photo)
        images = (images * 255).round().to(dtype) if dtype == torch.uint8 else images.to(dtype)
        images = images.to(device)
        distorted, out = bank(images, labels)
        assert (distorted.shape, distorted.dtype, distorted.device) == (images.shape, images.dtype, images.device)
        assert out.dtype == torch.int64
        assert out.tolist() == labels.tolist()
        assert distorted.min() >= 0
        assert distorted.max() <= (255 if dtype == torch.uint8 else 1)
        changed = (distorted != images).flatten(1).any(1).tolist()
        assert changed == [False] + [True] * 121

    def test_uint8_is_the_rounded_float_result(self, bank, photo):
        images, labels = every_class(bank, (photo * 255).round() / 255)
        params = bank.make_params(images, labels)
        expected = bank.apply(images, params)
        result = bank.apply((images * 255).round().to(torch.uint8), params) / 255.0
        assert (result - expected).abs().max() <= 0.5 / 255 + 1e-5

    def test_double_agrees_with_single_precision(self, bank, photo):
        images, labels = every_class(bank, photo)
        params = bank.make_params(images, labels)
        keep = [i for i, entry in enumerate(params) if not _draws_a_field(entry)]
        single, double = bank.apply(images, params), bank.apply(images.double(), params)
        difference = (single - double).abs().flatten(1).mean(1)[keep]
        assert difference.max() < 2e-3, [bank.class_names[i] for i in keep if difference[keep.index(i)] >= 2e-3]

    def test_autocast_changes_nothing(self, bank, photo, device):
        images, labels = every_class(bank, photo.to(device))
        params = bank.make_params(images, labels)
        with torch.autocast(device, dtype=torch.bfloat16):
            distorted = bank.apply(images, params)
        assert torch.equal(distorted, bank.apply(images, params))

    def test_single_image_equals_batch_of_one(self, bank, photo):
        params = bank.make_params(photo, bank.encode("jitter", 3))
        distorted = bank.apply(photo, params)
        assert distorted.shape == photo.shape
        assert torch.equal(distorted, bank.apply(photo[None], params)[0])
        assert bank(photo)[1].shape == ()

    def test_empty_batch(self, bank):
        distorted, labels = bank(torch.rand(0, 3, 64, 64))
        assert distorted.shape == (0, 3, 64, 64)
        assert labels.shape == (0,)
        assert labels.dtype == torch.int64
        assert bank["jpeg"](torch.rand(0, 3, 64, 64), level=3).shape == (0, 3, 64, 64)

    @pytest.mark.parametrize("layout", ["channels_last", "non_contiguous", "expanded", "inference", "requires_grad"])
    def test_layouts(self, bank, photo, layout):
        plain, labels = every_class(bank, photo)
        plain = plain.contiguous()
        images = {
            "channels_last": lambda: plain.contiguous(memory_format=torch.channels_last),
            "non_contiguous": lambda: plain.mT.contiguous().mT,
            "expanded": lambda: photo.expand(plain.shape),
            "inference": lambda: _inference_copy(plain),
            "requires_grad": lambda: plain.clone().requires_grad_(),
        }[layout]()
        params = bank.make_params(images, labels)
        distorted = bank.apply(images, params)
        assert torch.equal(distorted, bank.apply(plain, params))
        assert not distorted.requires_grad
        if layout == "channels_last":
            assert distorted.is_contiguous(memory_format=torch.channels_last)

    def test_never_modifies_or_aliases_its_input(self, bank, photo):
        images = photo.repeat(bank.num_classes, 1, 1, 1)
        before, version = images.clone(), images._version
        distorted, _ = bank(images, torch.arange(bank.num_classes))
        assert torch.equal(images, before)
        assert images._version == version
        assert distorted.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()
        for name in bank:
            for level in range(1, 6):
                result = bank[name](images[:2], level)
                assert result.untyped_storage().data_ptr() != images.untyped_storage().data_ptr(), (name, level)
        assert torch.equal(images, before)

    def test_identity_levels_are_bitwise_copies(self, bank, photo):
        for name, level in sorted(IDENTITIES):
            assert torch.equal(bank[name](photo, level), photo), name

    def test_image_class_is_kept(self, bank, photo):
        distorted, _ = bank(tv_tensors.Image(photo), 5)
        assert type(distorted) is tv_tensors.Image

    @pytest.mark.parametrize("labels", [7, [7, 7], torch.tensor([7, 7]), torch.tensor([7, 7], dtype=torch.uint8)])
    def test_forms_of_labels(self, bank, photo, labels):
        assert bank(photo.repeat(2, 1, 1, 1), labels)[1].tolist() == [7, 7]

    def test_gray_images(self, bank, photo):
        gray = photo.mean(0, keepdim=True)
        for name, distortion in bank.items():
            if distortion.needs_color:
                with pytest.raises(ValueError, match=f"{name} needs 3 colour channels, got 1"):
                    distortion(gray, 3)
            else:
                assert distortion(gray, 2).shape == gray.shape
        with pytest.raises(ValueError, match="needs 3 colour channels"):
            bank(gray)


def _inference_copy(images):
    with torch.inference_mode():
        return images.clone()


def _draws_a_field(params: DistortionParams) -> bool:
    return "seed" in params.draws


class TestRangeMode:
    def test_kadis_stretches_input_and_result_of_each_sample(self, photo):
        dull = torch.stack([photo * 0.5 + 0.2, photo * 0.3])
        result = Halve("kadis")(dull, [1, 2])
        for image, distorted in zip(dull.numpy(), result.numpy(), strict=True):
            stretched = (image - image.min()) / (image.max() - image.min())
            np.testing.assert_allclose(distorted, stretched, atol=1e-6)  # halving and shifting is undone

    def test_constant_image_stays(self):
        flat = torch.full((1, 3, 64, 64), 0.25)
        assert torch.equal(DistortionBank(["mean_shift"], range_mode="kadis")["mean_shift"](flat, 3), flat)

    def test_every_class_spans_the_range_in_kadis_mode(self, photo):
        bank = DistortionBank(range_mode="kadis")
        images, labels = every_class(bank, photo * 0.8 + 0.1)
        distorted, _ = bank(images, labels)
        assert torch.equal(distorted[0], images[0])  # pristine is the image as it came
        assert torch.equal(distorted[1:].amin((1, 2, 3)), torch.zeros(121))
        assert torch.equal(distorted[1:].amax((1, 2, 3)), torch.ones(121))

    def test_identity_level_is_stretched_too(self, photo):
        dull = photo * 0.5
        result = DistortionBank(["mean_shift"], range_mode="kadis")["mean_shift"](dull, 3)
        torch.testing.assert_close(result, (dull - dull.min()) / (dull.max() - dull.min()))

    def test_mean_shift_is_a_one_sided_stretch_in_kadis_mode(self):
        ramp = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
        shift = DistortionBank(["mean_shift"], range_mode="kadis")["mean_shift"]
        torch.testing.assert_close(shift(ramp, 1), (ramp / 0.85).clamp(max=1))
        torch.testing.assert_close(shift(ramp, 5), (ramp - 0.15).clamp(min=0) / 0.85)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
    def test_flat_images_stay_flat(self, value, channels, dtype):
        """Types that add nothing of their own leave a flat image flat: its rounding errors are not stretched."""
        bank = DistortionBank(range_mode="kadis")
        flat = torch.full((5, channels, 50, 60), round(value * 255) if dtype == torch.uint8 else value, dtype=dtype)
        for name, distortion in bank.items():
            if distortion.family == "noise" or name == "color_block" or (distortion.needs_color and channels == 1):
                continue
            distorted = distortion(flat, [1, 2, 3, 4, 5]).flatten(1)
            spread = distorted.double().amax(1) - distorted.double().amin(1)
            eps = 0 if dtype == torch.uint8 else max(64 * torch.finfo(torch.float32).eps, torch.finfo(dtype).eps)
            assert spread.max() <= eps, name

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("range_mode", ["clip", "kadis"])
    def test_results_never_leave_the_range(self, range_mode, dtype):
        """On white, black, half white and gray images, every class and several draws."""
        bank = DistortionBank(KADID_10K + BEYOND, range_mode=range_mode)
        white = torch.ones(4, 3, 48, 50, dtype=torch.float64)
        white[1] = 0
        white[2, :, :24] = 0
        white[3] = 0.3
        images = (white * 255).round().to(dtype) if dtype == torch.uint8 else white.to(dtype)
        for image in images:
            distorted, _ = bank(image.expand(bank.num_classes, -1, -1, -1), torch.arange(bank.num_classes))
            assert distorted.min() >= 0
            assert distorted.max() <= (255 if dtype == torch.uint8 else 1)

    def test_motion_blur_of_white(self):
        params = [DistortionParams("motion_blur", 4, {"angle": 158})]
        white = torch.ones(1, 3, 64, 64)
        assert DistortionBank(range_mode="kadis").apply(white, params).max() <= 1


class TestDefaultsOfTorch:
    """Neither its default dtype nor its default device has a say in draws or results."""

    changed = pytest.mark.parametrize("change", ["float64", "float16", "meta"])

    @staticmethod
    @contextlib.contextmanager
    def defaults(change: str):
        if change == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, change))
        try:
            yield
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)

    @changed
    def test_draws_and_pixels(self, photo, change):
        bank = DistortionBank(KADID_10K + BEYOND)
        images, labels = every_class(bank, photo)
        expected = bank.make_params(images, labels, generator=torch.Generator().manual_seed(1))
        pixels = bank.apply(images, expected)
        composed = bank.make_composed_params(images, generator=torch.Generator().manual_seed(1))
        with self.defaults(change):
            drawn = bank.make_params(images, labels, generator=torch.Generator("cpu").manual_seed(1))
            again = bank.make_composed_params(images, generator=torch.Generator("cpu").manual_seed(1))
            assert torch.equal(bank.apply(images, drawn), pixels)
            assert bank.type_index.device.type == bank.level_index.device.type == "cpu"
            assert bank.encode_multi_hot(again).device.type == "cpu"
        assert repr(drawn) == repr(expected)
        assert repr(again) == repr(composed)

    @changed
    @pytest.mark.parametrize("settings", [{}, {"num_distortions": (0, 3)}], ids=str)
    def test_transform(self, photo, change, settings):
        with self.defaults(change):
            distorted, label = RandomDistortion(p=0.5, return_labels=True, **settings)(photo)
        assert distorted.device.type == label.device.type == "cpu"
        assert distorted.dtype == torch.float32


class TestBeyond:
    """The types that KADID-10k does not have."""

    def test_classes_follow_those_of_kadid_10k(self):
        bank = DistortionBank(KADID_10K + BEYOND)
        assert tuple(bank) == KADID_10K + BEYOND
        assert bank.class_names[:122] == DistortionBank().class_names
        assert bank.num_classes == 122 + 5 * len(BEYOND)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("name", BEYOND)
    def test_forms(self, photo, name, dtype, device):
        bank = DistortionBank([name])
        images = ((photo * 255).round().to(dtype) if dtype == torch.uint8 else photo.to(dtype)).to(device)
        batch = images.expand(5, -1, -1, -1)
        params = [DistortionParams(name, level, bank[name].draw(None)) for level in range(1, 6)]
        distorted = bank.apply(batch, params)
        assert (distorted.shape, distorted.dtype, distorted.device) == (batch.shape, images.dtype, images.device)
        assert (distorted != batch).flatten(1).any(1).all()
        for i in range(5):
            assert torch.equal(bank.apply(images, params[i : i + 1]), distorted[i])
        assert torch.equal(bank.apply(batch.contiguous(memory_format=torch.channels_last), params), distorted)

    @pytest.mark.parametrize("name", BEYOND)
    def test_gray_and_tiny_images(self, name):
        distortion = DistortionBank([name])[name]
        assert distortion(torch.rand(3, 1, 1), 5).shape == (3, 1, 1)
        if distortion.needs_color:
            with pytest.raises(ValueError, match=f"{name} needs 3 colour channels"):
                distortion(torch.rand(1, 20, 30), 1)
        else:
            assert distortion(torch.rand(1, 20, 30), 5).shape == (1, 20, 30)

    @pytest.mark.parametrize("name", BEYOND)
    def test_documented_as_the_others(self, name):
        documented = inspect.getdoc(type(DistortionBank([name])[name]))
        for section in ("Source:", "Deviation:", "Example:"):
            assert section in documented


class TestReplay:
    def test_params_replay_bitwise(self, bank, photo):
        images, labels = every_class(bank, photo)
        params = bank.make_params(images, labels)
        assert torch.equal(bank.apply(images, params), bank.apply(images, copy.deepcopy(params)))
        assert torch.equal(bank.apply(images, params), bank.apply(images, pickle.loads(pickle.dumps(params))))

    def test_sample_does_not_depend_on_its_batch(self, bank, photo):
        images, labels = every_class(bank, photo)
        order = torch.randperm(len(labels))
        params = bank.make_params(images, labels)
        whole = bank.apply(images, params)
        shuffled = bank.apply(images[order], [params[i] for i in order.tolist()])
        assert torch.equal(shuffled, whole[order])
        for i in range(0, len(labels), 7):
            assert torch.equal(bank.apply(images[i], params[i : i + 1]), whole[i]), bank.class_names[i]

    def test_seed_reproduces_and_only_torch_is_used(self, bank, photo):
        images = photo.expand(16, -1, -1, -1)
        states = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
        torch.manual_seed(3)
        first, first_labels = bank(images)
        torch.manual_seed(3)
        second, second_labels = bank(images)
        assert torch.equal(first, second)
        assert torch.equal(first_labels, second_labels)
        assert not torch.equal(bank(images)[1], first_labels)
        assert random.getstate() == states[0]
        assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002

    def test_generator_leaves_the_global_stream_alone(self, bank, photo):
        images, labels = every_class(bank, photo)
        state = torch.get_rng_state()
        results = [bank(images, labels, generator=torch.Generator().manual_seed(1))[0] for _ in range(2)]
        bank["jitter"](photo, 3, generator=torch.Generator())
        assert torch.equal(*results)
        assert torch.equal(torch.get_rng_state(), state)

    def test_applying_draws_nothing(self, bank, photo):
        images, labels = every_class(bank, photo)
        params = bank.make_params(images, labels)
        state = torch.get_rng_state()
        bank.apply(images, params)
        assert torch.equal(torch.get_rng_state(), state)

    def test_drawing_does_not_depend_on_dtype_or_size(self, bank, photo):
        drawn = []
        for images in (photo, (photo * 255).to(torch.uint8), torch.zeros(3, 200, 300)):
            torch.manual_seed(5)
            drawn.append(repr(bank.make_params(images.expand(8, -1, -1, -1), list(range(60, 68)))))
        assert drawn[0] == drawn[1] == drawn[2]

    def test_classes_are_drawn_uniformly(self):
        bank = DistortionBank(["mean_shift"])
        labels = bank(torch.zeros(10_000, 1, 1, 1))[1]
        counts = torch.bincount(labels, minlength=5)
        assert (counts - 2000).abs().max() < 5 * (10_000 * 0.2 * 0.8) ** 0.5

    def test_bank_pickles(self, bank, photo):
        copied = pickle.loads(pickle.dumps(bank))
        params = bank.make_params(photo, 30)
        assert torch.equal(copied.apply(photo, params), bank.apply(photo, params))


class _DistortedBatches:
    """Collates indices to a batch whose distortions depend only on the seed and the samples."""

    def __init__(self, bank: DistortionBank, photo: torch.Tensor) -> None:
        self.bank, self.photo = bank, photo

    def __call__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        generator = SeededGenerator(1000 + indices[0])
        return self.bank(self.photo.expand(len(indices), -1, -1, -1), generator=generator)


class TestWorkers:
    def test_batches_do_not_depend_on_the_number_of_workers(self, bank, photo):
        collate = _DistortedBatches(bank, photo)
        runs = [
            list(DataLoader(range(24), batch_size=6, collate_fn=collate, num_workers=workers)) for workers in (0, 1, 2)
        ]
        for run in runs[1:]:
            for (images, labels), (expected, expected_labels) in zip(run, runs[0], strict=True):
                assert torch.equal(labels, expected_labels)
                assert torch.equal(images, expected)

    def test_workers_share_no_stream(self, bank, photo):
        loader = DataLoader(range(32), batch_size=16, num_workers=2, collate_fn=_GlobalStreamBatches(bank, photo))
        first, second = (labels for _, labels in loader)
        assert not torch.equal(first, second)


class _GlobalStreamBatches(_DistortedBatches):
    def __call__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.bank(self.photo.expand(len(indices), -1, -1, -1))


@pytest.mark.parametrize("name", sorted({*KADID_10K, *BEYOND} - HOST_TYPES))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.fake_cuda
def test_no_host_round_trip_on_cuda(name, dtype, monkeypatch):
    """Reading a value, mixing devices or a shape that depends on data raises under fake CUDA tensors."""
    from dsmix_aug.distortions import _fields

    for kind in ("normal_fields", "uniform_fields"):  # no CUDA generator can be made without CUDA
        monkeypatch.setattr(_fields, kind, lambda seeds, shape, like: like.new_empty((len(seeds), *shape)))
    monkeypatch.setattr(_fields, "poisson_fields", lambda seeds, rates: torch.empty_like(rates))
    bank = DistortionBank([name])
    levels = [1, 2, 3, 4, 5, 2, 3]
    draws = [bank[name].draw(None) for _ in levels]
    params = [DistortionParams(name, level, draw) for level, draw in zip(levels, draws, strict=True)]
    with FakeTensorMode(allow_non_fake_inputs=False):
        images = torch.empty(len(levels), 3, 72, 80, dtype=dtype, device="cuda")
        distorted = bank.apply(images, params)
    assert (distorted.device.type, distorted.shape, distorted.dtype) == ("cuda", images.shape, dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", sorted({*KADID_10K, *BEYOND} - HOST_TYPES))
def test_no_sync_on_cuda(photo, name):
    bank = DistortionBank([name])
    images = photo.cuda().expand(5, -1, -1, -1).contiguous()
    params = [DistortionParams(name, level, bank[name].draw(None)) for level in range(1, 6)]
    bank.apply(images, params)  # allocations and library handles synchronize once
    torch.cuda.set_sync_debug_mode("error")
    try:
        bank.apply(images, params)
    finally:
        torch.cuda.set_sync_debug_mode("default")


class TestErrors:
    @pytest.mark.parametrize(
        ("images", "error", "message"),
        [
            (np.zeros((3, 64, 64)), TypeError, "images should be a tensor, got ndarray"),
            (torch.zeros(3, 64, 64, dtype=torch.int64), TypeError, "images should be float .* got torch.int64"),
            (torch.zeros(64, 64), ValueError, r"images should have shape .* got \(64, 64\)"),
            (torch.zeros(1, 1, 3, 64, 64), ValueError, "images should have shape"),
            (torch.zeros(4, 64, 64), ValueError, "images should have 1 or 3 channels, got 4"),
            (torch.zeros(3, 0, 64), ValueError, "at least one pixel"),
            (torch.full((3, 64, 64), 1.5), ValueError, r"images: float values should lie in \[0, 1\]"),
            (torch.full((3, 64, 64), -0.5), ValueError, r"images: float values should lie in \[0, 1\]"),
            (torch.full((3, 64, 64), float("nan")), ValueError, r"images: float values should lie in \[0, 1\]"),
        ],
    )
    def test_images(self, bank, images, error, message):
        state = torch.get_rng_state()
        for call in (bank, bank["jpeg"].__call__, bank.apply, bank.make_params):
            with pytest.raises(error, match=message):
                call(images, 1) if call != bank.apply else call(images, [])
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("labels", "error", "message"),
        [
            (122, ValueError, r"labels should be in \[0, 122\), got 122"),
            (-1, ValueError, r"labels should be in \[0, 122\), got -1"),
            ([1, 2, 3], ValueError, "labels should have one entry per sample: expected 2, got 3"),
            (torch.tensor([1, 2, 3]), ValueError, "expected 2, got 3"),
            (torch.zeros(2, 1, dtype=torch.int64), ValueError, r"labels should have shape .* got \(2, 1\)"),
            (torch.tensor([1.0, 2.0]), TypeError, "labels should be of an integer dtype, got torch.float32"),
            ([1.0, 2.0], TypeError, "labels should hold integers"),
            ("jpeg", TypeError, "labels should be an int, a list of ints or a CPU tensor, got str"),
        ],
    )
    def test_labels(self, bank, labels, error, message):
        state = torch.get_rng_state()
        with pytest.raises(error, match=message):
            bank(torch.rand(2, 3, 64, 64, generator=torch.Generator()), labels)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("level", [0, 6, -1])
    def test_level(self, bank, level):
        with pytest.raises(ValueError, match=f"level should be between 1 and 5, got {level}"):
            bank["jpeg"](torch.rand(3, 64, 64), level)

    def test_levels_of_wrong_length(self, bank):
        with pytest.raises(ValueError, match="level should have one entry per sample: expected 2, got 3"):
            bank["jpeg"](torch.rand(2, 3, 64, 64), torch.tensor([1, 2, 3]))

    @pytest.mark.parametrize(
        ("kwargs", "error", "message"),
        [
            ({"distortions": ["jpg"]}, ValueError, "'jpg' is unknown, expected one of .*jpeg"),
            ({"distortions": ["jpeg", "jpeg"]}, ValueError, "'jpeg' is given twice"),
            ({"distortions": []}, ValueError, "at least one is needed"),
            ({"distortions": "jpeg"}, TypeError, "distortions should be a sequence"),
            ({"distortions": [3]}, TypeError, "distortions should hold names or Distortion objects, got 3"),
            ({"distortions": [Halve()]}, ValueError, "'halve' has levels 1 to 2, got 3"),
            ({"distortions": [Halve()], "levels": [1], "range_mode": "kadis"}, ValueError, "has range_mode='clip'"),
            ({"levels": (0, 1)}, ValueError, "levels should be different integers from 1"),
            ({"levels": (1, 1)}, ValueError, "levels should be different integers from 1"),
            ({"levels": ()}, ValueError, "levels should be different integers from 1"),
            ({"levels": (6,)}, ValueError, "has levels 1 to 5, got 6"),
            ({"levels": 3}, TypeError, "levels should be a sequence of integers"),
            ({"levels": (1.0,)}, TypeError, "levels should be a sequence of integers"),
            ({"levels": (True,)}, TypeError, "levels should be a sequence of integers"),
            ({"range_mode": "clamp"}, ValueError, "range_mode should be 'clip' or 'kadis', got 'clamp'"),
        ],
    )
    def test_constructor(self, kwargs, error, message):
        with pytest.raises(error, match=message):
            DistortionBank(**kwargs)

    @pytest.mark.parametrize(("name", "meant"), [("jpg", "jpeg"), ("JPEG", "jpeg"), ("Gaussian Blur", "gaussian_blur")])
    def test_misspelt_name(self, bank, name, meant):
        with pytest.raises(KeyError, match=f"did you mean '{meant}'. '{name}' is not in this bank"):
            bank[name]
        with pytest.raises(ValueError, match=f"distortions: did you mean '{meant}'. '{name}' is unknown"):
            DistortionBank([name])
        with pytest.raises(ValueError, match=f"did you mean '{meant}'. .* has no class in this bank"):
            bank.encode(name, 3)

    def test_name_like_no_other(self, bank):
        with pytest.raises(KeyError, match=r"^\"'xyz' is not in this bank, expected one of gaussian_blur, "):
            bank["xyz"]

    @pytest.mark.parametrize(
        ("images", "way_out"),
        [
            (torch.tensor([0.0, 255.0]), "levels of 0 to 255: divide by 255 or pass uint8"),
            (torch.tensor([-14.0, 268.0]), "levels of 0 to 255: divide by 255 or pass uint8"),
            (torch.tensor([-2.1, 2.6]), "images are needed as they are before v2.Normalize"),
            (torch.tensor([-1.0, 1.0]), "images are needed as they are before v2.Normalize"),
            (torch.tensor([-0.13, 1.12]), r"where an interpolation .* left the range, clamp_\(0, 1\) brings it back"),
        ],
    )
    def test_values_out_of_range_name_the_way_out(self, bank, images, way_out):
        with pytest.raises(ValueError, match=rf"images: float values should lie in \[0, 1\], got .*; {way_out}$"):
            bank(images.repeat(32).view(1, 8, 8).expand(3, -1, -1))

    def test_not_a_number_is_told_as_such(self, bank):
        with pytest.raises(ValueError, match=r"got \[nan, nan\]$"):
            bank(torch.full((3, 64, 64), float("nan")))

    def test_forms_of_images_name_the_way_out(self, bank):
        with pytest.raises(TypeError, match=r"got Image; v2\.functional.to_image makes one"):
            bank(PIL.Image.new("RGB", (64, 64)))
        with pytest.raises(ValueError, match=r"got 64 in shape \(64, 64, 3\), expected \(B, C, H, W\)"):
            bank(torch.zeros(64, 64, 3))

    @pytest.mark.parametrize("shape", [(1, 64, 64), (3, 32, 40), (2, 1, 20, 20)])
    def test_the_way_out_of_images_that_do_not_fit_works(self, bank, shape):
        with pytest.raises(ValueError, match="a bank of those that take such images") as caught:
            bank(torch.rand(shape))
        code = str(caught.value).partition("a bank of those that take such images: ")[2]
        smaller = eval(code)
        assert smaller(torch.rand(shape))[0].shape == shape

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (DistortionParams("jpeg", 0, {}), r"params\[1\]: 'jpeg' has levels 1 to 5, got 0"),
            (DistortionParams("jpeg", 9, {}), r"params\[1\]: 'jpeg' has levels 1 to 5, got 9"),
            (DistortionParams("jpeg", 1.5, {}), r"params\[1\]: 'jpeg' has levels 1 to 5, got 1.5"),
            (DistortionParams("jpg", 1, {}), r"params\[1\]: did you mean 'jpeg'\? 'jpg' is not in this bank"),
            (DistortionParams("white_noise", 1, {}), r"params\[1\]: the draws of 'white_noise' lack 'seed'"),
            (DistortionParams("motion_blur", 2, {"seed": 1}), r"params\[1\]: the draws of 'motion_blur' lack 'angle'"),
        ],
    )
    def test_params(self, bank, photo, entry, message):
        with pytest.raises(ValueError, match=message):
            bank.apply(photo.expand(2, -1, -1, -1), [DistortionParams("pristine", 0, {}), entry])

    def test_params_that_do_not_fit_the_images(self, bank):
        patches = bank.make_params(torch.zeros(3, 64, 64), bank.encode("non_eccentricity_patch", 1))
        with pytest.raises(ValueError, match=r"params\[0\]: images: non_eccentricity_patch needs .* got 8x8"):
            bank.apply(torch.zeros(3, 8, 8), patches)
        with pytest.raises(ValueError, match=r"params\[0\]: images: color_shift needs 3 colour channels, got 1"):
            bank.apply(torch.zeros(1, 64, 64), [DistortionParams("color_shift", 1, {"direction": (1, 1)})])

    def test_numpy_integers_are_integers(self, bank, photo):
        batch = photo.expand(2, -1, -1, -1)
        for labels in (np.int64(7), np.array([7, 7]), [np.int32(7), 7]):
            assert bank(batch, labels)[1].tolist() == [7, 7]
        assert bank["jpeg"](photo, np.int64(3)).shape == photo.shape
        assert bank.decode(np.int64(47)) == bank.decode(torch.tensor(47)) == ("jpeg", 5)
        assert DistortionBank(levels=np.arange(1, 4).tolist()).levels == (1, 2, 3)
        with pytest.raises(TypeError, match="labels should hold integers"):
            bank(batch, np.array([7.0, 7.0]))

    @pytest.mark.parametrize("label", [1.7, "3", None, torch.tensor(1.0)])
    def test_decode_takes_integers_only(self, bank, label):
        with pytest.raises(TypeError, match="label should be an integer, got"):
            bank.decode(label)

    def test_distortion_without_a_family(self):
        class Plain(Distortion):
            name, parameter, values = "plain", "nothing", (1.0,)

            def distort(self, images, values, draws):
                return images.clone()

        with pytest.raises(TypeError, match="'plain' has no class attribute `family`"):
            DistortionBank([Plain()], levels=[1])

    def test_distortion_written_for_levels_fails(self, photo):
        class Old(Halve):
            def distort(self, images, levels, draws):
                return images.clone()

        with pytest.raises(TypeError, match="values"):
            Old()(photo, 1)

    @pytest.mark.parametrize("label", [-1, 122])
    def test_decode(self, bank, label):
        with pytest.raises(ValueError, match=f"label should be in .* got {label}"):
            bank.decode(label)

    def test_params_of_wrong_length(self, bank, photo):
        with pytest.raises(ValueError, match="params should have one entry per sample: expected 1, got 2"):
            bank.apply(photo, bank.make_params(photo.expand(2, -1, -1, -1)))

    def test_too_small_an_image_is_refused_before_drawing(self, bank):
        state = torch.get_rng_state()
        with pytest.raises(ValueError, match=r"needs a height and width of at least \d+ px, got 16x16"):
            bank(torch.zeros(3, 16, 16))
        assert torch.equal(torch.get_rng_state(), state)
        assert bank(torch.zeros(3, 16, 16), bank.encode("gaussian_blur", 5))[0].shape == (3, 16, 16)


@pytest.mark.parametrize("name", sorted(set(KADID_10K) - {"mean_shift", "contrast_change"}))
def test_severity_grows_with_level(bank, name):
    """On the average of four photos, with the same draws at every level. The two types left out are two-sided."""
    crops = [image[60:284, 100:324] for image in (skimage.data.astronaut(), skimage.data.coffee())]
    crops += [image[70:294, 60:284] for image in (skimage.data.chelsea(), skimage.data.rocket())]
    photos = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255
    draws = [bank[name].draw(None) for _ in photos]
    errors = [(bank[name].distort_batch(photos, [level] * 4, draws) - photos).square().mean() for level in range(1, 6)]
    assert (torch.stack(errors).diff() > 0).all(), errors
