"""sensitivity_map against a loop over patches in NumPy, in every layout, dtype and shape, on CPU and fake CUDA."""

import tracemalloc
import warnings

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves
from torchvision import tv_tensors

from dsmix_aug import Reference, SensitivityMap, sensitivity_map

#: Absolute, for float32 and float64 results.
TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-13}
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)

#: Shapes of the images and patch sizes: whole and partial patches, one px patches, patches larger than the image, a
#: single image, more leading dimensions, none of a batch, 1 to 5 channels, batches that are worked through in parts.
CASES = [
    ((2, 3, 32, 48), 16),
    ((2, 3, 33, 50), 16),
    ((2, 3, 47, 63), 16),
    ((2, 1, 7, 5), 1),
    ((3, 3, 9, 13), 20),
    ((2, 3, 1, 1), 16),
    ((2, 3, 1, 70), 16),
    ((2, 3, 70, 1), 3),
    ((3, 40, 30), 8),
    ((1, 17, 19), 5),
    ((2, 3, 1, 17, 19), 5),
    ((2, 1, 2, 3, 20, 24), 4),
    ((0, 3, 20, 40), 16),
    ((2, 0, 3, 20, 40), 16),
    ((2, 4, 70, 70), 64),
    ((2, 5, 40, 31), 7),
    ((4, 3, 100, 90), 16),
    ((1, 3, 250, 201), 32),
    ((70, 1, 40, 41), 6),
]
every_case = pytest.mark.parametrize(("shape", "patch_size"), CASES, ids=str)


def random_pair(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 1):
    """Two images or batches of noise that use the whole range."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.uint8:
        pair = torch.randint(0, 256, (2, *shape), generator=generator, dtype=dtype)
    else:
        pair = torch.rand(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return pair[0].to(device), pair[1].to(device)


def loop_over_patches(distorted: torch.Tensor, reference: torch.Tensor, patch_size: int) -> np.ndarray:
    """The definition, one patch after the other, in float64."""
    scale = 255 if distorted.dtype == torch.uint8 else 1
    errors = np.abs(distorted.cpu().double().numpy() / scale - reference.cpu().double().numpy() / scale)
    *leading, _, height, width = errors.shape
    rows, columns = range(0, height, patch_size), range(0, width, patch_size)
    means = np.empty((*leading, len(rows), len(columns)))
    for index in np.ndindex(*leading):
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                patch = errors[index][:, top : top + patch_size, left : left + patch_size]
                means[(*index, i, j)] = patch.mean()
    return means


def assert_is_map_of(dsm: torch.Tensor, distorted: torch.Tensor, reference: torch.Tensor, patch_size: int) -> None:
    double = torch.float64 in (distorted.dtype, reference.dtype)
    assert type(dsm) is SensitivityMap
    assert dsm.patch_size == patch_size
    assert dsm.canvas_size == tuple(distorted.shape[-2:])
    assert dsm.dtype == (torch.float64 if double else torch.float32)
    assert dsm.device == distorted.device
    expected = loop_over_patches(distorted, reference, patch_size)
    assert dsm.shape == expected.shape
    np.testing.assert_allclose(dsm.cpu().numpy(), expected, atol=TOLERANCES[dsm.dtype], rtol=0)


class TestValues:
    @every_case
    @every_dtype
    def test_is_the_mean_error_of_each_patch(self, shape, patch_size, dtype, device):
        distorted, reference = random_pair(shape, dtype, device)
        assert_is_map_of(sensitivity_map(distorted, reference, patch_size), distorted, reference, patch_size)

    @settings(max_examples=60, deadline=None)
    @given(
        shape=st.tuples(*(st.integers(1, limit) for limit in (3, 4, 45, 45))),
        patch_size=st.integers(1, 50),
        dtype=st.sampled_from(DTYPES),
        seed=st.integers(0, 2**31),
    )
    def test_any_shape(self, shape, patch_size, dtype, seed):
        distorted, reference = random_pair(shape, dtype, seed=seed)
        assert_is_map_of(sensitivity_map(distorted, reference, patch_size), distorted, reference, patch_size)

    def test_default_patch_size_is_16(self):
        distorted, reference = random_pair((2, 3, 40, 50))
        assert_is_map_of(sensitivity_map(distorted, reference), distorted, reference, 16)

    def test_shape_rounds_up(self):
        dsm = sensitivity_map(*random_pair((2, 3, 33, 47)), patch_size=16)
        assert dsm.shape == (2, 3, 3)

    @pytest.mark.parametrize("dtypes", [(torch.float16, torch.float32), (torch.float32, torch.float64)], ids=str)
    def test_float_types_may_meet(self, dtypes):
        distorted, reference = random_pair((2, 3, 20, 21), torch.float64)
        pair = distorted.to(dtypes[0]), reference.to(dtypes[1])
        assert_is_map_of(sensitivity_map(*pair, 8), *pair, 8)
        assert_is_map_of(sensitivity_map(*pair[::-1], 8), *pair[::-1], 8)

    @every_dtype
    @pytest.mark.parametrize("patch_size", [1, 7, 16])
    def test_identical_images_give_zeros(self, dtype, patch_size, device):
        images, _ = random_pair((3, 3, 150, 149), dtype, device)
        dsm = sensitivity_map(images, images.clone(), patch_size)
        assert not dsm.any()
        assert not sensitivity_map(images, images, patch_size).any()

    @every_dtype
    @pytest.mark.parametrize("patch_size", [1, 2, 3, 8, 16, 62, 64, 65, 66, 128, 256, 300])
    def test_black_against_white_is_one(self, dtype, patch_size, device):
        """The largest sums there can be, in patches of any size: none may run over or exceed the range."""
        black = torch.zeros(1, 3, 260, 258, dtype=dtype, device=device)
        white = torch.full_like(black, 255 if dtype == torch.uint8 else 1)
        assert (sensitivity_map(white, black, patch_size) == 1).all()
        assert (sensitivity_map(black, white, patch_size) == 1).all()

    @every_dtype
    def test_arguments_may_be_swapped(self, dtype):
        distorted, reference = random_pair((3, 3, 50, 61), dtype)
        assert torch.equal(sensitivity_map(distorted, reference), sensitivity_map(reference, distorted))

    @every_dtype
    def test_values_lie_in_unit_range(self, dtype):
        pair = random_pair((4, 3, 100, 90), dtype)
        for distorted, reference in (pair, tuple((image * 0 + image.max()) for image in pair)):
            dsm = sensitivity_map(distorted, reference)
            assert dsm.min() >= 0
            assert dsm.max() <= 1

    @every_dtype
    def test_one_changed_pixel_is_seen_in_its_patch_alone(self, dtype):
        reference = torch.zeros(2, 3, 20, 22, dtype=dtype)
        for y, x in ((0, 0), (15, 15), (16, 15), (15, 16), (19, 21)):
            distorted = reference.clone()
            distorted[1, 2, y, x] = 255 if dtype == torch.uint8 else 1
            dsm = sensitivity_map(distorted, reference)
            pixels = (16 if y < 16 else 4) * (16 if x < 16 else 6) * 3
            assert dsm[1, y // 16, x // 16].item() == pytest.approx(1 / pixels)
            assert dsm.count_nonzero() == 1

    @every_dtype
    def test_a_sample_does_not_depend_on_its_batch(self, dtype):
        distorted, reference = random_pair((6, 3, 100, 90), dtype)
        dsm = sensitivity_map(distorted, reference)
        for i in range(6):
            single = sensitivity_map(distorted[i], reference[i])
            torch.testing.assert_close(single.as_subclass(torch.Tensor), dsm[i], rtol=1e-6, atol=0)


class TestInputs:
    LAYOUTS = {  # noqa: RUF012
        "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
        "transposed": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
        "every_other_column": lambda x: torch.stack([x, x.flip(0)], -1).flatten(-2)[..., ::2],
        "every_other_sample": lambda x: torch.stack([x, x.flip(0)], 1).flatten(0, 1)[::2],
        "window": lambda x: torch.nn.functional.pad(x, (3, 5, 7, 1))[..., 7:-1, 3:-5],
    }

    @every_dtype
    @pytest.mark.parametrize("size", [(32, 48), (100, 90)], ids=str)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_layouts(self, layout, size, dtype, device):
        distorted, reference = random_pair((4, 3, *size), dtype, device)
        strided = self.LAYOUTS[layout](distorted)
        assert torch.equal(strided, distorted)
        assert strided.stride() != distorted.stride()
        assert_is_map_of(sensitivity_map(strided, reference), distorted, reference, 16)
        assert_is_map_of(sensitivity_map(reference, strided), reference, distorted, 16)
        assert_is_map_of(sensitivity_map(strided, self.LAYOUTS[layout](reference)), distorted, reference, 16)

    @every_dtype
    @pytest.mark.parametrize("expanded", [(1, 3, 100, 90), (4, 1, 100, 90), (4, 3, 1, 1)], ids=str)
    def test_expanded(self, dtype, expanded):
        distorted, _ = random_pair((4, 3, 100, 90), dtype)
        reference = random_pair(expanded, dtype)[1].expand(4, 3, 100, 90)
        assert_is_map_of(sensitivity_map(distorted, reference), distorted, reference, 16)
        assert_is_map_of(sensitivity_map(reference, distorted), reference, distorted, 16)

    @every_dtype
    @pytest.mark.parametrize("size", [(32, 48), (100, 90)], ids=str)
    def test_inputs_stay_as_they_are_and_are_not_aliased(self, dtype, size):
        pair = random_pair((4, 3, *size), dtype)
        copies, versions = [image.clone() for image in pair], [image._version for image in pair]
        for patch_size in (1, 16):
            dsm = sensitivity_map(*pair, patch_size)
            dsm.as_subclass(torch.Tensor).fill_(7)
        assert [image._version for image in pair] == versions
        assert all(torch.equal(image, copy) for image, copy in zip(pair, copies, strict=True))

    def test_read_only_memory(self):
        array = np.zeros((3, 40, 40), dtype=np.uint8)
        array.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, that the memory is read-only
            reference = torch.from_numpy(array)
        assert (sensitivity_map(torch.full((3, 40, 40), 51, dtype=torch.uint8), reference) == torch.tensor(0.2)).all()

    @pytest.mark.parametrize("return_type", ["Tensor", "TVTensor"])
    @pytest.mark.parametrize("wrapper", [tv_tensors.Image, Reference])
    def test_tv_tensors(self, return_type, wrapper):
        distorted, reference = random_pair((2, 3, 20, 24))
        with tv_tensors.set_return_type(return_type):
            dsm = sensitivity_map(tv_tensors.Image(distorted), wrapper(reference), 8)
        assert_is_map_of(dsm, distorted, reference, 8)

    def test_no_gradient_flows(self):
        distorted, reference = random_pair((2, 3, 20, 24))
        dsm = sensitivity_map(distorted.clone().requires_grad_(), reference.clone().requires_grad_(), 8)
        assert not dsm.requires_grad
        assert_is_map_of(dsm, distorted, reference, 8)

    def test_inference_mode(self):
        distorted, reference = random_pair((2, 3, 20, 24))
        with torch.inference_mode():
            dsm = sensitivity_map(distorted + 0, reference + 0, 8)
            np.testing.assert_allclose(dsm.numpy(), loop_over_patches(distorted, reference, 8), atol=2e-6)

    def test_autocast_leaves_precision_alone(self, device):
        distorted, reference = random_pair((2, 3, 64, 48), device=device)
        with torch.autocast(device, dtype=torch.bfloat16):
            dsm = sensitivity_map(distorted, reference)
        assert_is_map_of(dsm, distorted, reference, 16)

    def test_global_rng_is_left_alone(self):
        before = torch.get_rng_state()
        sensitivity_map(*random_pair((4, 3, 100, 90)))
        assert torch.equal(torch.get_rng_state(), before)


class TestErrors:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
    def test_uint8_and_float_do_not_meet(self, dtype):
        levels, values = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=dtype)
        for pair in ((levels, values), (values, levels)):
            with pytest.raises(TypeError, match=r"both float in \[0, 1\] or both uint8") as error:
                sensitivity_map(*pair)
            assert str(pair[0].dtype) in str(error.value)
            assert str(pair[1].dtype) in str(error.value)

    @pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.bool, torch.complex64], ids=str)
    def test_other_dtypes(self, dtype):
        good, bad = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8, dtype=dtype)
        for name, pair in (("distorted", (bad, good)), ("reference", (good, bad)), ("distorted", (bad, bad))):
            with pytest.raises(TypeError, match=f"^{name} .*{dtype}"):
                sensitivity_map(*pair)

    @pytest.mark.parametrize("bad", [np.zeros((3, 8, 8)), PIL.Image.new("RGB", (8, 8)), [[[0.0]]], None], ids=type)
    def test_no_tensors(self, bad):
        good = torch.zeros(3, 8, 8)
        for name, pair in (("distorted", (bad, good)), ("reference", (good, bad))):
            with pytest.raises(TypeError, match=f"^{name} .*{type(bad).__name__}"):
                sensitivity_map(*pair)

    @pytest.mark.parametrize("shape", [(), (8,), (8, 8), (3, 0, 8), (3, 8, 0), (0, 8, 8), (2, 3, 0, 0)], ids=str)
    def test_no_images(self, shape):
        with pytest.raises(ValueError, match=r"distorted .*shape") as error:
            sensitivity_map(torch.zeros(shape), torch.zeros(shape))
        assert str(shape) in str(error.value)

    @pytest.mark.parametrize(
        "shape", [(3, 8, 8), (1, 3, 8, 8), (2, 1, 8, 8), (2, 3, 8, 9), (2, 3, 1, 8), (3, 3, 8, 8)], ids=str
    )
    def test_shapes_that_differ(self, shape):
        """Also those that would broadcast."""
        with pytest.raises(ValueError, match=r"^reference .*shape") as error:
            sensitivity_map(torch.zeros(2, 3, 8, 8), torch.zeros(shape))
        assert "(2, 3, 8, 8)" in str(error.value)
        assert str(shape) in str(error.value)

    def test_devices_that_differ(self):
        with pytest.raises(ValueError, match=r"^reference .*device.* cpu.* meta"):
            sensitivity_map(torch.zeros(3, 8, 8), torch.zeros(3, 8, 8, device="meta"))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -0.01, 1.01, 255.0])
    @pytest.mark.parametrize("name", ["distorted", "reference"])
    def test_values_out_of_range(self, name, value, dtype):
        images = {"distorted": torch.zeros(2, 3, 20, 20, dtype=dtype), "reference": torch.ones(2, 3, 20, 20).to(dtype)}
        images[name][1, 2, 19, 19] = value
        with pytest.raises(ValueError, match=rf"^{name}.*\[0, 1\]"):
            sensitivity_map(**images)

    @pytest.mark.parametrize("patch_size", [0, -16])
    def test_patch_size_that_is_not_positive(self, patch_size):
        with pytest.raises(ValueError, match=f"^patch_size .*{patch_size}"):
            sensitivity_map(*random_pair((3, 8, 8)), patch_size)

    @pytest.mark.parametrize("patch_size", [16.0, "16", None, True, (16, 16)], ids=str)
    def test_patch_size_that_is_no_integer(self, patch_size):
        with pytest.raises(TypeError, match=r"^patch_size "):
            sensitivity_map(*random_pair((3, 8, 8)), patch_size)


class StaysOnDevice(FakeTensorMode):
    """Fails on an operation that brings a CUDA tensor, or a value of one, to the host, or that waits for a copy."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if any(isinstance(leaf, torch.Tensor) and leaf.is_cuda for leaf in tree_leaves((args, kwargs))):
            outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            assert all(tensor.is_cuda for tensor in outputs), f"{func} leaves the device"
        elif func is torch.ops.aten._to_copy.default and result.is_cuda:
            assert kwargs.get("non_blocking"), "a copy to the device blocks the host"
        return result


@pytest.mark.fake_cuda
def test_copies_that_block_the_host_are_noticed():
    with StaysOnDevice(allow_non_fake_inputs=False), pytest.raises(AssertionError, match="leaves the device"):
        torch.empty(3, device="cuda").cpu()
    with StaysOnDevice(allow_non_fake_inputs=False), pytest.raises(AssertionError, match="blocks the host"):
        torch.tensor([1, 2], device="cuda")


@every_case
@every_dtype
@pytest.mark.fake_cuda
def test_cuda_tensors_stay_on_the_device(shape, patch_size, dtype, monkeypatch):
    # A fake tensor cannot be given another class.
    monkeypatch.setattr("dsmix_aug.maps.sensitivity.SensitivityMap", lambda errors, **metadata: errors)
    with StaysOnDevice(allow_non_fake_inputs=False):
        distorted = torch.empty(shape, dtype=dtype, device="cuda")
        dsm = sensitivity_map(distorted, torch.empty_like(distorted), patch_size)
    *leading, _, height, width = shape
    assert dsm.device.type == "cuda"
    assert dsm.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert dsm.shape == (*leading, -(-height // patch_size), -(-width // patch_size))


@every_dtype
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_tensors_are_measured_without_a_sync(dtype):
    for shape, patch_size in CASES:
        distorted, reference = random_pair(shape, dtype, "cuda")
        torch.cuda.set_sync_debug_mode("error")
        try:
            dsm = sensitivity_map(distorted, reference, patch_size)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert_is_map_of(dsm, distorted, reference, patch_size)


def temporary_bytes(distorted: torch.Tensor, reference: torch.Tensor, patch_size: int) -> int:
    """Peak memory of torch's and NumPy's allocators, without the result's."""
    sensitivity_map(distorted, reference, patch_size)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        dsm = sensitivity_map(distorted, reference, patch_size)
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    assert max(np.cumsum(sizes)) >= dsm.nbytes, "the profiler saw no allocation"
    tracemalloc.start()
    try:
        sensitivity_map(distorted, reference, patch_size)
        numpy_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return int(max(np.cumsum(sizes)) - dsm.nbytes) + numpy_bytes


@every_dtype
@pytest.mark.parametrize("size", [(224, 224), (218, 230)], ids=str)
def test_needs_little_memory(dtype, size):
    distorted, reference = random_pair((16, 3, *size), dtype)
    limit = 0.25 if dtype in (torch.float16, torch.bfloat16) else 0.15  # halves are summed in float32
    assert temporary_bytes(distorted, reference, 16) <= limit * distorted.nbytes


@pytest.mark.parametrize("patch_size", [1, 2, 4, 32])
@every_dtype
def test_needs_no_temporary_of_the_size_of_the_batch(dtype, patch_size):
    distorted, reference = random_pair((16, 3, 224, 224), dtype)
    assert temporary_bytes(distorted, reference, patch_size) <= 0.3 * distorted.nbytes


@every_dtype
@pytest.mark.parametrize("layout", ["channels_last", "expanded"])
def test_needs_little_memory_in_any_layout(dtype, layout):
    distorted, reference = random_pair((16, 3, 224, 224), dtype)
    if layout == "channels_last":
        distorted, reference = (image.contiguous(memory_format=torch.channels_last) for image in (distorted, reference))
    else:
        reference = reference[:1].expand_as(reference)
    assert temporary_bytes(distorted, reference, 16) <= 0.25 * distorted.nbytes
