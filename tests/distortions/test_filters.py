"""Filtering with replicated borders against SciPy, on the path of the CPU and on that of other devices."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions import _filters
from dsmix_aug.distortions._filters import correlate, correlate_separable, gaussian_kernel

TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}
#: From one pixel to larger than every kernel, never square.
SIZES = [(1, 1), (1, 6), (7, 1), (5, 8), (33, 52)]


def correlate_tensors(images: torch.Tensor, kernels: list[np.ndarray]) -> torch.Tensor:
    """What :func:`correlate` does on other devices than the CPU."""
    return _filters._correlate_by_size(images, kernels, _filters._convolve)


def correlate_tensors_separable(images: torch.Tensor, kernels: list[np.ndarray]) -> torch.Tensor:
    return _filters._correlate_by_size(images, kernels, _filters._convolve_separable)


def asymmetric_kernels() -> list[np.ndarray]:
    """Kernels of several sizes without any symmetry, so that a flip or a transposition would show."""
    rng = np.random.default_rng(0)
    kernels = [rng.random(shape) for shape in ((3, 3), (7, 7), (3, 3), (17, 17))]
    return [kernel / kernel.sum() for kernel in kernels]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("function", [correlate, correlate_tensors])
def test_correlate_agrees_with_scipy(function, dtype, size, channels, device):
    kernels = asymmetric_kernels()
    images = torch.rand(len(kernels), channels, *size, dtype=dtype, device=device)
    before = images.clone()
    filtered = function(images, kernels)
    assert filtered.dtype == dtype
    assert filtered.device == images.device
    assert torch.equal(images, before)
    for image, kernel, result in zip(images.cpu().numpy(), kernels, filtered.cpu().numpy(), strict=True):
        expected = scipy.ndimage.correlate(image.astype(np.float64), kernel[None], mode="nearest")
        np.testing.assert_allclose(result, expected, atol=TOLERANCES[dtype], rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("function", [correlate_separable, correlate_tensors_separable])
def test_correlate_separable_agrees_with_scipy(function, dtype, size, channels, device):
    kernels = [kernel.sum(axis=0) for kernel in asymmetric_kernels()]
    images = torch.rand(len(kernels), channels, *size, dtype=dtype, device=device)
    before = images.clone()
    filtered = function(images, kernels)
    assert filtered.dtype == dtype
    assert torch.equal(images, before)
    for image, kernel, result in zip(images.cpu().numpy(), kernels, filtered.cpu().numpy(), strict=True):
        expected = image.astype(np.float64)
        for axis in (1, 2):
            expected = scipy.ndimage.correlate1d(expected, kernel, axis=axis, mode="nearest")
        np.testing.assert_allclose(result, expected, atol=TOLERANCES[dtype], rtol=0)


@pytest.mark.parametrize("function", [correlate, correlate_tensors])
def test_a_lone_plane_is_filtered_like_one_of_many(function, device):
    images = torch.rand(4, 1, 20, 24, device=device)
    kernels = [asymmetric_kernels()[1]] * 4
    lone = function(images[:1], kernels[:1])
    assert lone.shape == (1, 1, 20, 24)
    assert torch.equal(lone, function(images, kernels)[:1])


@pytest.mark.parametrize("function", [correlate, correlate_tensors])
def test_slices_of_channels_are_filtered_in_place_of_whole_images(function, device):
    images = torch.rand(2, 3, 20, 24, device=device)
    kernels = asymmetric_kernels()[:2]
    assert torch.equal(function(images[:, 1:], kernels), function(images, kernels)[:, 1:])


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("function", [correlate, correlate_separable])
@pytest.mark.fake_cuda
def test_cuda_tensors_are_filtered_without_the_host(function, count):
    kernels = asymmetric_kernels()[:count]
    if function is correlate_separable:
        kernels = [kernel.sum(axis=0) for kernel in kernels]
    with FakeTensorMode():
        images = torch.empty(count, 3, 20, 24, device="cuda")
        filtered = function(images, kernels)
    assert filtered.device.type == "cuda"
    assert filtered.shape == images.shape


@pytest.mark.parametrize(
    ("sigma", "size", "center"), [(0.5, 3, 0.61935), (1, 5, 0.16210), (2, 9, 0.04168), (5, 21, 0.006842)]
)
def test_gaussian_kernel_is_cut_at_two_sigma(sigma, size, center):
    kernel = gaussian_kernel(sigma)
    assert len(kernel) == size
    assert kernel[size // 2] ** 2 == pytest.approx(center, rel=2e-4)
    impulse = np.zeros(4 * size + 1)
    impulse[2 * size] = 1
    expected = scipy.ndimage.gaussian_filter1d(impulse, sigma, radius=size // 2, mode="nearest")
    np.testing.assert_allclose(kernel, expected[2 * size - size // 2 : 2 * size + size // 2 + 1], atol=1e-15)


def test_cached_kernels_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        gaussian_kernel(1.0)[0] = 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads through Linux's /proc")
def test_opencv_starts_no_threads():
    script = """
import os, cv2, numpy as np, torch
from dsmix_aug.distortions._color_spaces import rgb_to_lab
from dsmix_aug.distortions._filters import correlate, correlate_separable
torch.set_num_threads(1)
images = torch.rand(2, 3, 512, 640)
threads = set(os.listdir("/proc/self/task"))
rgb_to_lab(images)
for size in (3, 11, 17, 81):
    correlate(images, [np.full((size, size), 1 / size**2)] * 2)
    correlate_separable(images, [np.full(size, 1 / size)] * 2)
assert set(os.listdir("/proc/self/task")) == threads
# The count would show them: this function of OpenCV is a parallel one.
cv2.setNumThreads(4)
cv2.cvtColor(np.zeros((2000, 2000, 3), np.uint8), cv2.COLOR_RGB2Lab)
print(len(os.listdir("/proc/self/task")) - len(threads))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 0
