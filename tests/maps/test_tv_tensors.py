"""Reference follows its image through torchvision v2; SensitivityMap does where exact, and raises elsewhere."""

import copy
import io
import itertools
import pickle
import re

import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils._pytree import tree_leaves
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from dsmix_aug import DistortionBank, RandomDistortion, Reference, SensitivityMap, sensitivity_map
from dsmix_aug._tensors import wrap_like

HEIGHT, WIDTH = 37, 50


def pixels(*shape: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    levels = torch.randint(0, 256, shape or (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(1))
    return levels.to(torch.uint8) if dtype == torch.uint8 else levels.to(dtype) / 255


def equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Compare only values: torch refuses two different TVTensor classes in one operation."""
    return torch.equal(first.as_subclass(torch.Tensor), second.as_subclass(torch.Tensor))


GEOMETRIC = {
    "horizontal_flip": v2.RandomHorizontalFlip(1),
    "vertical_flip": v2.RandomVerticalFlip(1),
    "resize": v2.Resize((21, 64)),
    "resize_short_side": v2.Resize(20),
    "resize_nearest": v2.Resize((50, 37), interpolation=v2.InterpolationMode.NEAREST),
    "resize_without_antialias": v2.Resize((20, 20), antialias=False),
    "center_crop": v2.CenterCrop((20, 31)),
    "center_crop_beyond": v2.CenterCrop((60, 31)),
    "random_crop": v2.RandomCrop((20, 24)),
    "random_crop_padded": v2.RandomCrop(32, padding=16),
    "random_crop_reflected": v2.RandomCrop(32, padding=(9, 5), padding_mode="reflect"),
    "random_crop_if_needed": v2.RandomCrop((60, 70), pad_if_needed=True, fill=1),
    "pad": v2.Pad([1, 2, 3, 4], fill=1),
    "pad_edge": v2.Pad(5, padding_mode="edge"),
    "pad_reflect": v2.Pad([3, 7], padding_mode="reflect"),
    "pad_symmetric": v2.Pad(6, padding_mode="symmetric"),
    "random_resized_crop": v2.RandomResizedCrop((24, 30)),
    "random_rotation": v2.RandomRotation((10, 40), interpolation=v2.InterpolationMode.BILINEAR, fill=1),
    "random_rotation_expand": v2.RandomRotation((10, 40), expand=True),
    "random_affine": v2.RandomAffine((10, 20), translate=(0.2, 0.1), scale=(0.7, 1.2), shear=(5, 10, 5, 10), fill=1),
    "random_perspective": v2.RandomPerspective(0.5, p=1, fill=1),
    "elastic": v2.ElasticTransform(alpha=80.0, fill=1),
    "random_zoom_out": v2.RandomZoomOut(p=1, side_range=(1.5, 3.0), fill=1),
    "scale_jitter": v2.ScaleJitter((60, 60), scale_range=(0.3, 0.9)),
    "random_shortest_size": v2.RandomShortestSize([20, 25], max_size=40),
    "random_resize": v2.RandomResize(15, 25),
    "compose": v2.Compose([v2.RandomRotation(20), v2.RandomResizedCrop(24), v2.RandomHorizontalFlip()]),
    "random_order": v2.RandomOrder([v2.RandomRotation((10, 20)), v2.RandomCrop(20)]),
    "random_choice": v2.RandomChoice([v2.RandomRotation((10, 20)), v2.RandomCrop(20)]),
    "random_apply": v2.RandomApply([v2.RandomCrop(20)], p=1),
}
COLOUR = {
    "color_jitter": v2.ColorJitter((0.4, 0.6), (0.4, 0.6), (0.4, 0.6), (0.2, 0.3)),
    "grayscale": v2.Grayscale(3),
    "random_grayscale": v2.RandomGrayscale(1),
    "gaussian_blur": v2.GaussianBlur(5, (1.0, 2.0)),
    "invert": v2.RandomInvert(1),
    "posterize": v2.RandomPosterize(2, p=1),
    "solarize": v2.RandomSolarize(100, p=1),
    "sharpness": v2.RandomAdjustSharpness(3, p=1),
    "equalize": v2.RandomEqualize(1),
    "channel_permutation": v2.Lambda(lambda image: image.flip(-3), tv_tensors.Image),
    "jpeg": v2.JPEG(5),
    "erasing": v2.RandomErasing(p=1, value=7),
    "to_dtype": v2.ToDtype(torch.float32, scale=True),
    "rand_augment": v2.RandAugment(num_ops=4),
    "trivial_augment": v2.TrivialAugmentWide(),
    "auto_augment": v2.AutoAugment(),
    "aug_mix": v2.AugMix(severity=10),
}


every_colour = pytest.mark.parametrize("name", COLOUR)
ignore_jpeg_warning = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")


def copies_of(sample: SensitivityMap | Reference):
    """Every way to duplicate a tensor that has to keep its class."""
    stream = io.BytesIO()
    torch.save(sample, stream)
    stream.seek(0)
    return {
        "pickle": pickle.loads(pickle.dumps(sample)),
        "deepcopy": copy.deepcopy(sample),
        "copy": copy.copy(sample),
        "torch.save": torch.load(stream, weights_only=False),
        "clone": sample.clone(),
        "to": sample.to(torch.float64),
        "to_same": sample.to("cpu"),
        "detach": sample.detach(),
        "wrap_like": wrap_like(sample.as_subclass(torch.Tensor), sample),
    }


class TestReferenceFollowsItsImage:
    @pytest.mark.parametrize("name", GEOMETRIC)
    @pytest.mark.parametrize("return_type", ["Tensor", "TVTensor"])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
    @pytest.mark.parametrize("batch", [(), (2,)], ids=["single", "batch"])
    def test_as_an_image_of_the_same_pixels(self, name, return_type, dtype, batch):
        data = pixels(*batch, 3, HEIGHT, WIDTH, dtype=dtype)
        with tv_tensors.set_return_type(return_type):
            image, reference, label = GEOMETRIC[name](tv_tensors.Image(data), Reference(data.clone()), "label")
        assert type(image) is tv_tensors.Image
        assert type(reference) is Reference
        assert label == "label"
        assert not equal(image, data), "the transform did nothing"
        assert reference.dtype == dtype
        assert equal(image, reference)

    @pytest.mark.parametrize("name", GEOMETRIC)
    def test_beside_a_plain_image_tensor(self, name):
        """A plain tensor is the one image of the sample, also where it comes after the reference."""
        data = pixels()
        sample = GEOMETRIC[name]({"reference": Reference(data.clone()), "image": data, "label": torch.tensor(3)})
        assert type(sample["image"]) is torch.Tensor
        assert type(sample["reference"]) is Reference
        assert equal(sample["image"], sample["reference"])
        assert sample["label"] == 3

    @pytest.mark.parametrize("transform", [v2.FiveCrop(20), v2.FiveCrop((37, 30)), v2.TenCrop(20, vertical_flip=True)])
    def test_into_five_and_ten_crops(self, transform):
        data = pixels()
        images, references = transform(tv_tensors.Image(data), Reference(data.clone()))
        assert type(references) is tuple
        assert len(references) == len(images) >= 5
        for image, reference in zip(images, references, strict=True):
            assert type(reference) is Reference
            assert equal(image, reference)

    def test_into_the_crop_of_its_boxes(self):
        data = pixels()
        boxes = tv_tensors.BoundingBoxes([[5, 5, 40, 30]], format="XYXY", canvas_size=(HEIGHT, WIDTH))
        crop = v2.RandomIoUCrop(sampler_options=[0.5], trials=200)
        image, reference, *_ = crop(tv_tensors.Image(data), Reference(data.clone()), boxes, torch.tensor([1]))
        assert image.shape != data.shape
        assert type(reference) is Reference
        assert equal(image, reference)

    @pytest.mark.parametrize("wrapped", [True, False], ids=["Image", "Tensor"])
    def test_with_the_fill_given_for_its_type(self, wrapped):
        data = pixels()
        fill = {tv_tensors.Image: 9, torch.Tensor: 9, Reference: 9}
        image = tv_tensors.Image(data) if wrapped else data
        image, reference = v2.RandomRotation((20, 40), fill=fill)(image, Reference(data.clone()))
        assert (image == 9).any()
        assert equal(image, reference)

    def test_functionals_keep_its_class(self):
        reference = Reference(pixels())
        plain = reference.as_subclass(torch.Tensor)
        for function in (F.horizontal_flip, lambda x: F.crop(x, -3, 4, 20, 60), lambda x: F.resize(x, [9, 8])):
            assert type(function(reference)) is Reference
            assert equal(function(reference), function(plain))

    @pytest.mark.parametrize("name", GEOMETRIC)
    def test_inputs_stay_as_they_are(self, name):
        reference = Reference(pixels())
        GEOMETRIC[name](tv_tensors.Image(pixels()), reference)
        assert reference._version == 0
        assert equal(reference, pixels())


class TestReferenceAndColour:
    @ignore_jpeg_warning
    @every_colour
    @pytest.mark.parametrize("return_type", ["Tensor", "TVTensor"])
    def test_left_alone(self, name, return_type):
        data, reference = pixels(), Reference(pixels())
        with tv_tensors.set_return_type(return_type):
            image, same = COLOUR[name](tv_tensors.Image(data), reference)
        assert not equal(image, data), "the transform did nothing"
        assert same is reference
        assert reference._version == 0
        assert equal(reference, data)

    @pytest.mark.parametrize(
        "transform",
        [v2.Normalize([0.5] * 3, [0.2] * 3), v2.GaussianNoise(), v2.RandomPhotometricDistort(p=1)],
        ids=lambda transform: type(transform).__name__,
    )
    def test_left_alone_beside_a_float_image(self, transform):
        data = pixels(dtype=torch.float32)
        reference = Reference(data.clone())
        image, same = transform(tv_tensors.Image(data), reference)
        assert not equal(image, data)
        assert same is reference
        assert equal(reference, data)

    @pytest.mark.parametrize("mix", [v2.CutMix(num_classes=3), v2.MixUp(num_classes=3)], ids=["cutmix", "mixup"])
    def test_batch_transforms_of_others_leave_it(self, mix):
        references = Reference(pixels(4, 3, 20, 20))
        images, _, same = mix(pixels(4, 3, 20, 20, dtype=torch.float32), torch.arange(4) % 3, references)
        assert type(images) is torch.Tensor
        assert same is references

    def test_is_scaled_where_named(self):
        types = {tv_tensors.Image: torch.float32, Reference: torch.float32}
        image, reference = v2.ToDtype(types, scale=True)(tv_tensors.Image(pixels()), Reference(pixels()))
        assert type(reference) is Reference
        torch.testing.assert_close(reference.as_subclass(torch.Tensor), pixels(dtype=torch.float32))
        assert equal(image, reference)


class TestReferenceAndRandomDistortion:
    GEOMETRY = v2.Compose([v2.RandomResizedCrop(24), v2.RandomRotation((10, 40)), v2.RandomHorizontalFlip()])
    DISTORT = RandomDistortion(DistortionBank(["white_noise"], pristine=False))

    @pytest.mark.parametrize("wrapper", [tv_tensors.Image, torch.Tensor], ids=["Image", "Tensor"])
    def test_distorted_before_geometry(self, wrapper):
        data = pixels(dtype=torch.float32)
        torch.manual_seed(3)
        image, reference = v2.Compose([self.DISTORT, self.GEOMETRY])(data.as_subclass(wrapper), Reference(data.clone()))
        torch.manual_seed(3)
        distorted = self.DISTORT(data)
        expected = self.GEOMETRY(tv_tensors.Image(distorted), tv_tensors.Image(data))
        assert type(image) is wrapper
        assert type(reference) is Reference
        assert equal(image, expected[0])
        assert equal(reference, expected[1])
        assert not equal(image, reference)

    def test_distorted_after_geometry(self):
        data = pixels(dtype=torch.float32)
        torch.manual_seed(3)
        image, reference = v2.Compose([self.GEOMETRY, self.DISTORT])(data, Reference(data.clone()))
        torch.manual_seed(3)
        pristine = self.GEOMETRY(data)
        assert type(reference) is Reference
        assert equal(reference, pristine)
        assert equal(image, self.DISTORT(pristine))
        assert not equal(image, reference)


class TestReference:
    def test_is_no_image(self):
        assert issubclass(Reference, tv_tensors.TVTensor)
        assert not issubclass(Reference, tv_tensors.Image)

    @pytest.mark.parametrize(
        "data",
        [
            pixels(),
            pixels().numpy(),
            pixels().tolist(),
            PIL.Image.fromarray(pixels().permute(1, 2, 0).numpy()),
            tv_tensors.Image(pixels()),
        ],
        ids=lambda data: type(data).__name__,
    )
    def test_from_anything_like_an_image(self, data):
        reference = Reference(data, dtype=torch.uint8) if isinstance(data, list) else Reference(data)
        assert type(reference) is Reference
        assert reference.dtype == torch.uint8
        assert equal(reference, pixels())

    def test_one_channel_may_be_left_out(self):
        assert equal(Reference(pixels(5, 6)), pixels(5, 6)[None])
        assert Reference(PIL.Image.new("L", (6, 5))).shape == (1, 5, 6)

    def test_dtype_and_gradient(self):
        reference = Reference(np.zeros((3, 4, 5)), dtype=torch.float16)
        assert reference.dtype == torch.float16
        assert Reference(torch.zeros(3, 4, 5), requires_grad=True).requires_grad
        assert not Reference(torch.zeros(3, 4, 5)).requires_grad

    @pytest.mark.parametrize("data", [torch.tensor(1.0), torch.zeros(4)], ids=["0-d", "1-d"])
    def test_too_few_dimensions(self, data):
        with pytest.raises(ValueError, match=f"^data .*2 dimensions, got {data.ndim}"):
            Reference(data)

    @pytest.mark.parametrize("way", copies_of(Reference(pixels())))
    def test_copies_keep_the_class(self, way):
        duplicate = copies_of(Reference(pixels()))[way]
        assert type(duplicate) is Reference
        assert equal(duplicate, pixels())

    def test_other_operations_follow_the_return_type(self):
        reference = Reference(pixels())
        assert type(reference + 1) is torch.Tensor
        with tv_tensors.set_return_type("TVTensor"):
            assert type(reference + 1) is Reference

    def test_subclass_is_kept(self):
        class Pristine(Reference):
            pass

        data = pixels()
        image, reference = v2.RandomCrop(20)(tv_tensors.Image(data), tv_tensors.wrap(data, like=Pristine(data)))
        assert type(reference) is Pristine
        assert equal(image, reference)

    def test_repr_names_the_class(self):
        assert repr(Reference(torch.zeros(1, 1, 1))).startswith("Reference(")


# ---------------------------------------------------------------------------------------------------------------------


def pair_of_images(height: int, width: int, batch: tuple[int, ...] = (2,)) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with values of k / 256, whose errors sum without rounding in any order."""
    levels = torch.randint(0, 257, (2, *batch, 3, height, width), generator=torch.Generator().manual_seed(2))
    return tuple((levels / 256).unbind())


def sample_with_map(height: int, width: int, patch_size: int, batch: tuple[int, ...] = (2,)):
    distorted, reference = pair_of_images(height, width, batch)
    dsm = sensitivity_map(distorted, reference, patch_size)
    return tv_tensors.Image(distorted), Reference(reference), dsm


def assert_map_of(dsm: SensitivityMap, image: torch.Tensor, reference: torch.Tensor, patch_size: int) -> None:
    """Assert that a moved map is the map of the moved images."""
    expected = sensitivity_map(image, reference, patch_size)
    assert type(dsm) is SensitivityMap
    assert dsm.patch_size == patch_size
    assert tuple(dsm.canvas_size) == tuple(image.shape[-2:])
    assert equal(dsm, expected)


def has_exact_map(moved: torch.Tensor, original: torch.Tensor, patch_size: int) -> bool:
    """Whether each patch of a moved picture of patch numbers (0 in the padding) shows one whole patch, or padding."""
    height, width = moved.shape
    for top, left in itertools.product(range(0, height, patch_size), range(0, width, patch_size)):
        seen = moved[top : top + patch_size, left : left + patch_size]
        number = seen[0, 0]
        if (seen != number).any() or (number and (seen == number).sum() != (original == number).sum()):
            return False
    return True


def patch_numbers(height: int, width: int, patch_size: int) -> torch.Tensor:
    rows, columns = torch.arange(height) // patch_size, torch.arange(width) // patch_size
    return rows[:, None] * 100 + columns + 1


INEXACT = pytest.raises(ValueError, match=r"^SensitivityMap: .*compute the map after geometry")


class TestMapFollowsItsImage:
    @pytest.mark.parametrize("batch", [(), (2,)], ids=["single", "batch"])
    @pytest.mark.parametrize("return_type", ["Tensor", "TVTensor"])
    @pytest.mark.parametrize(
        "transform",
        [
            v2.RandomHorizontalFlip(1),
            v2.RandomVerticalFlip(1),
            v2.CenterCrop((16, 32)),
            v2.CenterCrop((80, 96)),
            v2.Pad(16),
            v2.Pad([16, 32]),
            v2.Pad([0, 16, 32, 48]),
            v2.RandomCrop((48, 64)),
            v2.RandomCrop((80, 96), padding=16),
            v2.Compose([v2.RandomHorizontalFlip(1), v2.Pad(16), v2.CenterCrop((48, 32)), v2.RandomVerticalFlip(1)]),
        ],
        ids=str,
    )
    def test_exactly(self, transform, batch, return_type):
        sample = sample_with_map(48, 64, 16, batch)
        with tv_tensors.set_return_type(return_type):
            image, reference, dsm = transform(*sample)
        assert_map_of(dsm, image, reference, 16)

    @pytest.mark.parametrize("transform", [v2.RandomHorizontalFlip(1), v2.RandomVerticalFlip(1)], ids=["h", "v"])
    def test_flips_move_something(self, transform):
        *_, dsm = sample_with_map(48, 64, 16)
        assert not equal(transform(dsm), dsm)

    def test_flips_of_sizes_that_the_patch_size_does_not_divide(self):
        """Along the other axis they are exact."""
        image, reference, dsm = sample_with_map(40, 64, 16)
        assert_map_of(F.horizontal_flip(dsm), F.horizontal_flip(image), F.horizontal_flip(reference), 16)
        with INEXACT:
            F.vertical_flip(dsm)
        image, reference, dsm = sample_with_map(64, 40, 16)
        assert_map_of(F.vertical_flip(dsm), F.vertical_flip(image), F.vertical_flip(reference), 16)
        with INEXACT:
            F.horizontal_flip(dsm)

    @pytest.mark.parametrize("axis", ["height", "width"])
    @pytest.mark.parametrize("side", [8, 10, 3])
    def test_every_crop_is_exact_or_an_error(self, axis, side):
        """All windows that show some of the image, along one axis."""
        height, width = (side, 8) if axis == "height" else (8, side)
        image, reference, dsm = sample_with_map(height, width, 4)
        numbers = patch_numbers(height, width, 4)
        exact = 0
        for start in range(-9, side):
            for length in range(max(1, 1 - start), 20):
                window = (start, 0, length, width) if axis == "height" else (0, start, height, length)
                moved = F.crop(numbers[None], *window)[0]
                if has_exact_map(moved, numbers, 4):
                    assert_map_of(F.crop(dsm, *window), F.crop(image, *window), F.crop(reference, *window), 4)
                    exact += 1
                else:
                    with INEXACT:
                        F.crop(dsm, *window)
        assert exact >= 3

    @pytest.mark.parametrize("size", [(12, 8), (10, 8), (8, 7), (3, 9)], ids=str)
    def test_every_center_crop_is_exact_or_an_error(self, size):
        image, reference, dsm = sample_with_map(*size, 4)
        numbers = patch_numbers(*size, 4)
        exact = 0
        for output in itertools.product(range(1, 20), range(1, 20)):
            moved = F.center_crop(numbers[None], list(output))[0]
            if has_exact_map(moved, numbers, 4):
                moved_images = F.center_crop(image, list(output)), F.center_crop(reference, list(output))
                assert_map_of(F.center_crop(dsm, list(output)), *moved_images, 4)
                exact += 1
            else:
                with INEXACT:
                    F.center_crop(dsm, list(output))
        assert exact >= 1

    @pytest.mark.parametrize("size", [(8, 12), (10, 7)], ids=str)
    def test_every_pad_is_exact_or_an_error(self, size):
        image, reference, dsm = sample_with_map(*size, 4)
        numbers = patch_numbers(*size, 4)
        exact = 0
        for padding in itertools.product((0, 1, 2, 4, 8), repeat=4):
            moved = F.pad(numbers[None], list(padding))[0]
            if has_exact_map(moved, numbers, 4):
                images = F.pad(image, list(padding), fill=1), F.pad(reference, list(padding), fill=1)
                assert_map_of(F.pad(dsm, list(padding), fill=1), *images, 4)
                exact += 1
            else:
                with INEXACT:
                    F.pad(dsm, list(padding))
        assert exact >= 4

    @pytest.mark.parametrize("padding", [8, [8], [8, 4], [4, 8, 12, 0], (4, 8)], ids=str)
    def test_all_forms_of_padding(self, padding):
        image, reference, dsm = sample_with_map(16, 20, 4)
        assert_map_of(F.pad(dsm, padding), F.pad(image, padding), F.pad(reference, padding), 4)

    @pytest.mark.parametrize(
        "transform", [v2.FiveCrop((16, 32)), v2.TenCrop((16, 32)), v2.TenCrop((48, 32), True)], ids=str
    )
    def test_into_five_and_ten_crops(self, transform):
        images, references, maps = transform(*sample_with_map(48, 64, 16))
        assert len(maps) == len(images)
        for image, reference, dsm in zip(images, references, maps, strict=True):
            assert_map_of(dsm, image, reference, 16)

    def test_crops_off_the_grid_among_five(self):
        *_, dsm = sample_with_map(48, 64, 16)
        for transform in (v2.FiveCrop(24), v2.TenCrop((16, 20))):
            with INEXACT:
                transform(dsm)
        with pytest.raises(ValueError, match="size"):
            F.five_crop(dsm, [64, 64])

    @pytest.mark.parametrize(
        "name",
        [name for name in GEOMETRIC if name.startswith(("resize", "random_r", "random_a", "random_p", "elastic"))]
        + ["scale_jitter", "random_shortest_size", "center_crop", "pad", "pad_edge", "pad_reflect", "pad_symmetric"],
    )
    def test_an_error_where_there_is_no_exact_map(self, name):
        with INEXACT:
            GEOMETRIC[name](*sample_with_map(48, 64, 16))

    @pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
    def test_padding_that_repeats_pixels(self, mode):
        *_, dsm = sample_with_map(48, 64, 16)
        with INEXACT:
            F.pad(dsm, [16], padding_mode=mode)

    def test_the_error_names_the_sizes(self):
        *_, dsm = sample_with_map(40, 64, 16)
        with pytest.raises(ValueError, match=re.escape("(40, 64)")) as error:
            F.vertical_flip(dsm)
        assert "16" in str(error.value)

    @ignore_jpeg_warning
    @every_colour
    def test_colour_leaves_it_alone(self, name):
        *_, dsm = sample_with_map(HEIGHT, WIDTH, 16, batch=())
        _, same = COLOUR[name](tv_tensors.Image(pixels()), dsm)
        assert same is dsm

    def test_normalize_leaves_it_alone(self):
        image, reference, dsm = sample_with_map(48, 64, 16)
        assert v2.Normalize([0.5] * 3, [0.2] * 3)(image, reference, dsm)[2] is dsm

    def test_inputs_stay_as_they_are(self):
        image, reference, dsm = sample_with_map(48, 64, 16)
        before, version = dsm.clone(), dsm._version
        for transform in (v2.RandomHorizontalFlip(1), v2.Pad(16), v2.CenterCrop((48, 64)), v2.RandomCrop((48, 64))):
            transform(image, reference, dsm)
            assert (dsm.patch_size, dsm.canvas_size) == (16, (48, 64))
        assert dsm._version == version
        assert equal(dsm, before)


class TestSensitivityMap:
    def make(self) -> SensitivityMap:
        return SensitivityMap(torch.rand(2, 4, 3), patch_size=8, canvas_size=(30, 24))

    def test_defaults(self):
        dsm = SensitivityMap(torch.zeros(2, 3, 5))
        assert isinstance(dsm, tv_tensors.TVTensor)
        assert dsm.patch_size == 16
        assert dsm.canvas_size == (48, 80)

    @pytest.mark.parametrize("data", [torch.ones(2, 3), np.ones((2, 3)), [[1.0] * 3] * 2], ids=type)
    def test_from_anything_like_a_tensor(self, data):
        dsm = SensitivityMap(data, dtype=torch.float32)
        assert dsm.shape == (2, 3)
        assert dsm.dtype == torch.float32
        assert dsm.canvas_size == (32, 48)

    @pytest.mark.parametrize("way", copies_of(SensitivityMap(torch.zeros(2, 2))))
    def test_copies_keep_patch_and_canvas_size(self, way):
        dsm = self.make()
        duplicate = copies_of(dsm)[way]
        assert type(duplicate) is SensitivityMap
        assert duplicate.patch_size == 8
        assert duplicate.canvas_size == (30, 24)
        assert equal(duplicate.float(), dsm)

    def test_requires_grad_keeps_them_too(self):
        dsm = self.make().requires_grad_()
        assert type(dsm) is SensitivityMap
        assert (dsm.patch_size, dsm.canvas_size, dsm.requires_grad) == (8, (30, 24), True)

    @pytest.mark.skipif(not hasattr(tv_tensors.TVTensor, "wrap"), reason="this torchvision wraps only its own classes")
    def test_torchvision_wraps_it_too(self):
        dsm = tv_tensors.wrap(torch.zeros(2, 4, 3), like=self.make())
        assert (type(dsm), dsm.patch_size, dsm.canvas_size) == (SensitivityMap, 8, (30, 24))

    def test_wrap_takes_other_metadata(self):
        dsm = SensitivityMap.wrap(torch.zeros(2, 2, 3), self.make(), canvas_size=(16, 24))
        assert (type(dsm), dsm.patch_size, dsm.canvas_size) == (SensitivityMap, 8, (16, 24))

    def test_other_operations_follow_the_return_type(self):
        dsm = self.make()
        assert type(dsm * 2) is torch.Tensor
        assert type(dsm.max(-1).values) is torch.Tensor
        with tv_tensors.set_return_type("TVTensor"):
            doubled = dsm * 2
            parts = dsm.unbind(0)
        for result in (doubled, *parts):
            assert (type(result), result.patch_size, result.canvas_size) == (SensitivityMap, 8, (30, 24))
        assert equal(doubled, dsm.as_subclass(torch.Tensor) * 2)

    @pytest.mark.parametrize("patch_size", [8.0, "8", None, True], ids=str)
    def test_patch_size_that_is_no_integer(self, patch_size):
        with pytest.raises(TypeError, match=r"^patch_size "):
            SensitivityMap(torch.zeros(2, 2), patch_size=patch_size)

    @pytest.mark.parametrize("patch_size", [0, -8])
    def test_patch_size_that_is_not_positive(self, patch_size):
        with pytest.raises(ValueError, match=f"^patch_size .*{patch_size}"):
            SensitivityMap(torch.zeros(2, 2), patch_size=patch_size)

    @pytest.mark.parametrize("shape", [(), (4,)], ids=str)
    def test_too_few_dimensions(self, shape):
        with pytest.raises(ValueError, match=f"^data .*2 dimensions, got {len(shape)}"):
            SensitivityMap(torch.zeros(shape))

    @pytest.mark.parametrize("canvas_size", [(16, 24), (33, 24), (30, 25), (24, 24), (24, 30), (0, 0)], ids=str)
    def test_canvas_size_of_another_grid(self, canvas_size):
        with pytest.raises(ValueError, match=r"^data .*patch") as error:
            SensitivityMap(torch.zeros(2, 4, 3), patch_size=8, canvas_size=canvas_size)
        assert str(canvas_size) in str(error.value)
        assert "(4, 3)" in str(error.value)

    @pytest.mark.parametrize("canvas_size", [(32, 24), (25, 17), (30, 24)], ids=str)
    def test_canvas_size_of_partial_patches(self, canvas_size):
        assert SensitivityMap(torch.zeros(4, 3), patch_size=8, canvas_size=canvas_size).canvas_size == canvas_size

    def test_repr_names_the_metadata(self):
        text = repr(self.make())
        assert text.startswith("SensitivityMap(")
        assert "patch_size=8" in text
        assert "canvas_size=(30, 24)" in text


def test_both_travel_in_any_structure():
    image, reference, dsm = sample_with_map(48, 64, 16)
    sample = {"pair": (image, [reference]), "more": {"map": dsm, "name": "a", "id": 3, "none": None}}
    moved = v2.RandomHorizontalFlip(1)(sample)
    assert [type(leaf) for leaf in tree_leaves(moved)] == [type(leaf) for leaf in tree_leaves(sample)]
    assert_map_of(moved["more"]["map"], moved["pair"][0], moved["pair"][1][0], 16)
