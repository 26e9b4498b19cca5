"""Maps and references at the edge of their domain: huge patches, global defaults, PIL photos, odd containers."""

from collections import ChainMap, UserDict, UserList, deque
from types import MappingProxyType

import numpy as np
import pytest
import torch
from factories import distorted_pair, photo, random_images, save_photo
from PIL import Image
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from dsmix_aug import DSMEstimator, Reference, SensitivityMap, collate_tv_tensors, sensitivity_map

DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def plain(tensor):
    return tensor.as_subclass(torch.Tensor)


@pytest.fixture
def default_device():
    yield torch.set_default_device
    torch.set_default_device(None)


@pytest.fixture
def default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


class TestSensitivityMap:
    @every_dtype
    @pytest.mark.parametrize("patch_size", [65, 10**9, 10**30])
    def test_one_patch_larger_than_the_image(self, dtype, patch_size):
        """The mean error of the whole image, without memory of the size of the patch."""
        images, references = distorted_pair(dtype=dtype)
        scale = 255 if dtype == torch.uint8 else 1
        expected = (images.double() - references.double()).abs().mean((1, 2, 3)).view(-1, 1, 1) / scale
        dsm = sensitivity_map(images, references, patch_size)
        torch.testing.assert_close(plain(dsm).double(), expected, rtol=1e-5, atol=1e-6)
        assert dsm.patch_size == patch_size

    @every_dtype
    @pytest.mark.parametrize("patch_size", [1, 7, 8, 16])
    def test_empty_batches(self, dtype, patch_size):
        images = torch.zeros(0, 3, 32, 48, dtype=dtype)
        dsm = sensitivity_map(images, images, patch_size)
        assert dsm.shape == (0, -(-32 // patch_size), -(-48 // patch_size))

    def test_numpy_integers_are_integers(self):
        images, references = distorted_pair()
        dsm = sensitivity_map(images, references, np.int64(8))
        assert type(dsm.patch_size) is int
        assert torch.equal(plain(dsm), plain(sensitivity_map(images, references, 8)))
        dsm = SensitivityMap(torch.zeros(2, 3), patch_size=np.int32(8), canvas_size=[np.int64(16), np.int64(24)])
        assert dsm.canvas_size == (16, 24)
        assert [type(side) for side in dsm.canvas_size] == [int, int]

    @pytest.mark.parametrize(
        ("canvas_size", "message"),
        [
            ((None, 24), "canvas_size should be an integer, got None"),
            ((16.0, 24.0), "canvas_size should be an integer, got 16.0"),
            ((True, 24), "canvas_size should be an integer, got True"),
            (16, r"canvas_size should be \(height, width\) in px, got 16"),
            ((3, 16, 24), r"canvas_size should be \(height, width\) in px, got \(3, 16, 24\)"),
        ],
    )
    def test_wrong_canvas_sizes_are_named(self, canvas_size, message):
        with pytest.raises(TypeError, match=message):
            SensitivityMap(torch.zeros(2, 3), patch_size=8, canvas_size=canvas_size)

    @every_dtype
    def test_default_device_is_left_alone(self, dtype, default_device):
        images, references = distorted_pair(height=50, width=70, dtype=dtype)
        expected = sensitivity_map(images, references)
        default_device("meta")
        dsm = sensitivity_map(images, references)
        assert dsm.device.type == "cpu"
        assert torch.equal(plain(dsm), plain(expected))

    @every_dtype
    @pytest.mark.parametrize("default", [torch.float64, torch.float16], ids=str)
    def test_default_dtype_is_left_alone(self, dtype, default, default_dtype):
        images, references = distorted_pair(height=50, width=70, dtype=dtype)
        expected = sensitivity_map(images, references)
        default_dtype(default)
        dsm = sensitivity_map(images, references)
        assert dsm.dtype == expected.dtype
        assert torch.equal(plain(dsm), plain(expected))

    def test_negative_bit(self):
        images, references = distorted_pair(height=50, width=70)
        lazy = torch.complex(torch.zeros_like(images), -images).conj().imag
        assert lazy.is_neg()
        torch.testing.assert_close(plain(sensitivity_map(lazy, references)), plain(sensitivity_map(images, references)))

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
    def test_eight_bit_floats_are_named(self, dtype):
        images = torch.zeros(3, 8, 8).to(dtype)
        with pytest.raises(TypeError, match=f"distorted should be float .*, got {dtype}"):
            sensitivity_map(images, images)

    def test_sparse_images_are_named(self):
        with pytest.raises(TypeError, match=r"reference should be a dense tensor, got torch\.sparse_coo"):
            sensitivity_map(torch.zeros(3, 8, 8), torch.zeros(3, 8, 8).to_sparse())

    @pytest.mark.parametrize("wrong", [photo(), np.zeros((3, 8, 8))], ids=["PIL", "NumPy"])
    def test_other_images_are_named_with_the_way_out(self, wrong):
        message = f"distorted should be a tensor, got {type(wrong).__name__}; v2.functional.to_image makes one"
        with pytest.raises(TypeError, match=message):
            sensitivity_map(wrong, torch.zeros(3, 8, 8))

    @pytest.mark.parametrize(
        ("low", "high", "hint"),
        [
            (-0.129, 1.121, r"bicubic .*clamp_\(0, 1\)"),
            (0.0, 255.0, "divide by 255 or pass uint8"),
            (-11.0, 261.0, "divide by 255 or pass uint8"),
            (-2.1, 2.6, "before v2.Normalize"),
            (-1.0, 1.0, "before v2.Normalize"),
        ],
    )
    def test_values_out_of_range_are_explained(self, low, high, hint):
        images = torch.linspace(low, high, 3 * 8 * 8).view(3, 8, 8)
        hints = {"clamp_", "255 or", "Normalize"}
        with pytest.raises(ValueError, match=hint) as error:
            sensitivity_map(images, torch.zeros(3, 8, 8))
        assert sum(word in str(error.value) for word in hints) == 1


@pytest.mark.parametrize("default", [torch.float64, torch.float16], ids=str)
def test_estimator_does_not_depend_on_the_default_dtype(default, default_dtype):
    """A flat image, of which one tone occurs more often than float16 can count."""
    estimator = DSMEstimator(patch_size=16, embed_dim=8, depth=1, num_heads=1).eval()
    images = torch.full((1, 3, 264, 264), 0.5)
    with torch.no_grad():
        expected = estimator(images)
        default_dtype(default)
        predicted = estimator(images)
    assert predicted.dtype == expected.dtype
    assert torch.equal(predicted, expected)


class TestReference:
    def test_questions_about_its_size(self):
        reference = Reference(random_images(2, 3, 20, 24))
        assert F.get_size(reference) == F.get_size(tv_tensors.Image(plain(reference))) == [20, 24]
        assert F.get_dimensions(reference) == [3, 20, 24]
        assert F.get_num_channels(reference) == 3

    @pytest.mark.parametrize(
        "transform",
        [v2.CenterCrop(12), v2.Pad(3), v2.Resize((10, 12)), v2.RandomHorizontalFlip(1), v2.RandomVerticalFlip(1)],
        ids=lambda transform: type(transform).__name__,
    )
    def test_without_an_image(self, transform):
        data = random_images(3, 20, 24)
        moved = transform(Reference(data))
        assert type(moved) is Reference
        assert torch.equal(plain(moved), plain(transform(tv_tensors.Image(data))))

    @pytest.mark.parametrize(
        "transform",
        [
            v2.RandomRotation((10, 40), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomAffine((10, 20), shear=(5, 10), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomPerspective(0.5, p=1),
            v2.RandomResizedCrop((24, 30)),
            v2.ElasticTransform(80.0),
        ],
        ids=lambda transform: type(transform).__name__,
    )
    def test_photo_of_pillow_after_to_image(self, transform, tmp_path):
        """As the docstring says: with ToImage first, the same kernel moves both, and nothing looks distorted."""
        with Image.open(save_photo(tmp_path / "photo.png")) as opened:
            image, reference = v2.Compose([v2.ToImage(), transform])(opened, Reference(opened))
        assert not sensitivity_map(image, reference, 8).any()

    @pytest.mark.parametrize("kind", [Reference, SensitivityMap])
    def test_stays_on_the_device_of_its_data(self, kind, default_device):
        data = random_images(3, 8, 8)
        default_device("meta")
        assert kind(data).device == data.device
        assert kind(data, device="meta").device.type == "meta"


class TestCollate:
    @pytest.mark.parametrize(
        "pack",
        [
            lambda leaf: UserDict(a=leaf, b=1),
            lambda leaf: MappingProxyType({"a": leaf, "b": 1}),
            lambda leaf: ChainMap({"a": leaf}, {"b": 1}),
            lambda leaf: UserList([leaf, 1, "text"]),
            lambda leaf: deque([leaf, 2.5]),
            lambda leaf: [leaf, (leaf, [leaf, b"bytes"])],
        ],
        ids=["UserDict", "MappingProxyType", "ChainMap", "UserList", "deque", "list"],
    )
    def test_containers_are_those_of_default_collate(self, pack):
        leaves = [random_images(3, 4, 5, seed=seed) for seed in range(2)]
        expected = default_collate([pack(leaf) for leaf in leaves])
        kept = collate_tv_tensors([pack(Reference(leaf)) for leaf in leaves])
        assert_same_structure(kept, expected)

    def test_sequences_of_different_length(self):
        samples = [[Reference(torch.zeros(3, 4, 5)), 1], [Reference(torch.zeros(3, 4, 5))]]
        for collate in (default_collate, collate_tv_tensors):
            with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
                collate(samples)


def assert_same_structure(kept, expected):
    if isinstance(expected, torch.Tensor):
        assert torch.equal(plain(kept), plain(expected))
        assert (type(kept) is Reference) == (expected.ndim == 4)
        return
    assert type(kept) is type(expected)
    if isinstance(expected, (str, bytes, int, float)):
        assert kept == expected
        return
    assert len(kept) == len(expected)
    for key in expected if hasattr(expected, "keys") else range(len(expected)):
        assert_same_structure(kept[key], expected[key])
