"""Gaussian, lens and motion blur: kernels against definitions and published values, images against SciPy."""

import math

import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions.blur import GaussianBlur, LensBlur, MotionBlur, disk_kernel, motion_kernel

TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}
#: Smaller than most kernels, one pixel wide, and large.
SIZES = [(1, 1), (1, 9), (4, 7), (61, 90)]
LEVELS = [1, 2, 3, 4, 5]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
dtypes = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def photos(size: tuple[int, int], dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    """Five crops of a photo, one for each level: (5, 3, *size)."""
    height, width = size
    crops = [skimage.data.astronaut()[top : top + height, top : top + width] for top in range(20, 120, 20)]
    return (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().to(dtype) / 255).to(device)


def assert_correlated(results: torch.Tensor, images: torch.Tensor, kernels: list[np.ndarray]) -> None:
    """Assert that each result is its image correlated with its 2-D kernel, border replicated."""
    assert results.dtype == images.dtype
    assert results.device == images.device
    for result, image, kernel in zip(results.cpu().numpy(), images.cpu().numpy(), kernels, strict=True):
        expected = scipy.ndimage.correlate(image.astype(np.float64), kernel[None], mode="nearest").clip(0, 1)
        np.testing.assert_allclose(result, expected, atol=TOLERANCES[images.dtype], rtol=0)


class TestGaussianBlur:
    SIGMAS = (0.1, 0.5, 1, 2, 5)

    @sizes
    @dtypes
    def test_agrees_with_scipy(self, size, dtype, device):
        images = photos(size, dtype, device)
        results = GaussianBlur()(images, LEVELS)
        assert results.dtype == dtype
        for sigma, image, result in zip(self.SIGMAS, images.cpu().numpy(), results.cpu().numpy(), strict=True):
            expected = scipy.ndimage.gaussian_filter(
                image.astype(np.float64), sigma, radius=math.ceil(2 * sigma), mode="nearest", axes=(1, 2)
            )
            np.testing.assert_allclose(result, expected, atol=TOLERANCES[dtype], rtol=0)

    def test_first_level_leaves_the_image(self):
        images = photos((20, 30))
        assert torch.equal(GaussianBlur()(images, 1), images)


class TestLensBlur:
    RADII = (1, 2, 4, 6, 8)

    @staticmethod
    def integrated_disk(radius: int) -> np.ndarray:
        """Area of the disk in each pixel, by the midpoint rule over 20000 columns a pixel."""
        centers = np.arange(-radius, radius + 1)
        steps = 20000
        x = centers[:, None] + (np.arange(steps) + 0.5) / steps - 0.5
        half_chord = np.sqrt(np.maximum(radius**2 - x**2, 0))
        top, bottom = centers + 0.5, centers - 0.5
        rows = [
            (np.minimum(t, half_chord) - np.maximum(b, -half_chord)).clip(0).mean(axis=1)
            for t, b in zip(top, bottom, strict=True)
        ]
        return np.stack(rows) / np.sum(rows)

    @pytest.mark.parametrize("radius", RADII)
    def test_kernel_is_the_area_of_each_pixel_inside_the_disk(self, radius):
        kernel = disk_kernel(radius)
        assert kernel.shape == (2 * radius + 1, 2 * radius + 1)
        np.testing.assert_allclose(kernel, self.integrated_disk(radius), atol=1e-7)

    @pytest.mark.parametrize("radius", RADII)
    def test_kernel_has_no_negative_weights_and_the_symmetry_of_a_disk(self, radius):
        kernel = disk_kernel(radius)
        assert kernel.min() >= 0
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        assert kernel[radius, radius] == pytest.approx(1 / (math.pi * radius**2), abs=1e-12)
        for symmetric in (kernel.T, kernel[::-1], kernel[:, ::-1]):
            np.testing.assert_allclose(kernel, symmetric, atol=1e-15)

    def test_smallest_kernel_is_matlabs(self):
        corner, edge, center = 0.0251, 0.1453, 0.3183  # fspecial('disk', 1)
        expected = [[corner, edge, corner], [edge, center, edge], [corner, edge, corner]]
        np.testing.assert_allclose(disk_kernel(1), expected, atol=5e-5)

    @sizes
    @dtypes
    def test_agrees_with_scipy(self, size, dtype, device):
        images = photos(size, dtype, device)
        kernels = [disk_kernel(radius) for radius in self.RADII]
        assert_correlated(LensBlur()(images, LEVELS), images, kernels)

    def test_blurs_with_the_integrated_disk(self):
        images = photos((61, 90))
        for level, radius in enumerate(self.RADII, start=1):
            expected = scipy.ndimage.correlate(images.numpy(), self.integrated_disk(radius)[None, None], mode="nearest")
            np.testing.assert_allclose(LensBlur()(images, level), expected, atol=1e-6)


class TestMotionBlur:
    LENGTHS = (1, 2, 4, 6, 10)

    @staticmethod
    def looped_kernel(length: float, angle: int, size: int = 15) -> np.ndarray:
        """The kernel pixel by pixel: one minus the distance from the line's middle axis, or from its nearer end."""
        phi = math.radians(angle % 180)
        direction = np.array([math.cos(phi), math.sin(phi)])
        half = (length - 1) / 2
        kernel = np.zeros((size, size))
        for row in range(size):
            for column in range(size):
                point = np.array([column - size // 2, size // 2 - row], dtype=float)
                along = abs(point @ direction)
                across = abs(point @ [-direction[1], direction[0]])
                inside = math.hypot(*point) < half
                distance = across if inside else math.hypot(across, half - along)
                kernel[row, column] = max(0.0, 1 - distance)
        return kernel / kernel.sum()

    @pytest.mark.parametrize("length", LENGTHS)
    def test_kernel_follows_the_definition_at_every_angle(self, length):
        for angle in range(0, 181, 7):
            kernel = motion_kernel(length, angle)
            margin = (15 - len(kernel)) // 2
            np.testing.assert_allclose(np.pad(kernel, margin), self.looped_kernel(length, angle), atol=1e-15)

    def test_kernels_are_matlabs(self):
        diagonal = [  # fspecial('motion', 5, 45)
            [0, 0, 0, 0.0501, 0.0304],
            [0, 0, 0.0519, 0.1771, 0.0501],
            [0, 0.0519, 0.1771, 0.0519, 0],
            [0.0501, 0.1771, 0.0519, 0, 0],
            [0.0304, 0.0501, 0, 0, 0],
        ]
        np.testing.assert_allclose(motion_kernel(5, 45), diagonal, atol=5e-5)
        np.testing.assert_allclose(motion_kernel(9, 0)[4], np.full(9, 1 / 9), atol=1e-15)  # fspecial('motion', 9, 0)
        assert motion_kernel(9, 0).sum() == pytest.approx(1)

    @pytest.mark.parametrize(("length", "size"), [(1, 1), (2, 3), (4, 5), (6, 7), (10, 11)])
    def test_kernel_is_large_enough(self, length, size):
        assert {motion_kernel(length, angle).shape for angle in range(181)} == {(size, size)}

    def test_angle_is_counter_clockwise(self):
        kernel = motion_kernel(10, 30)  # 30 degrees rise to the right
        up_right, up_left = kernel[:5, 6:].sum(), kernel[:5, :5].sum()
        assert up_right > 10 * up_left

    @pytest.mark.parametrize("angle", [0, 33, 90, 135, 180])
    @sizes
    @dtypes
    def test_agrees_with_scipy(self, size, dtype, angle, device):
        images = photos(size, dtype, device)
        results = MotionBlur().distort_batch(images, LEVELS, [{"angle": angle}] * 5)
        assert_correlated(results, images, [self.looped_kernel(length, angle) for length in self.LENGTHS])

    def test_samples_have_their_own_angles(self):
        images = photos((30, 41))
        angles = [0, 45, 90, 20, 180]
        results = MotionBlur().distort_batch(images, [5] * 5, [{"angle": angle} for angle in angles])
        assert_correlated(results, images, [self.looped_kernel(10, angle) for angle in angles])

    def test_first_level_leaves_the_image(self):
        images = photos((20, 30))
        assert torch.equal(MotionBlur()(images, 1), images)

    def test_angles_are_whole_degrees_from_0_to_180(self):
        generator = torch.Generator().manual_seed(0)
        draws = [MotionBlur().draw(generator) for _ in range(5000)]
        angles = [draw["angle"] for draw in draws]
        assert all(type(angle) is int for angle in angles)
        assert set(angles) == set(range(181))
        assert np.mean(angles) == pytest.approx(90, abs=3)

    def test_generator_repeats_the_angle_and_spares_the_global_one(self):
        state = torch.get_rng_state()
        first, second = (MotionBlur().draw(torch.Generator().manual_seed(3)) for _ in range(2))
        assert first == second
        assert torch.equal(torch.get_rng_state(), state)


every_blur = pytest.mark.parametrize("blur", [GaussianBlur(), LensBlur(), MotionBlur()], ids=lambda blur: blur.name)


@every_blur
def test_blur_grows_with_the_level(blur):
    photo = photos((61, 90))[:1]
    draws = [blur.draw(None)]
    errors = [(blur.distort_batch(photo, [level], draws) - photo).square().mean().item() for level in LEVELS]
    assert errors == sorted(errors)
    assert errors[-1] > 4 * errors[1] > 0


@every_blur
def test_a_grey_image_is_blurred_like_a_channel(blur):
    images = photos((25, 31))
    draws = [blur.draw(None) for _ in LEVELS]
    assert torch.equal(
        blur.distort_batch(images[:, 1:2], LEVELS, draws), blur.distort_batch(images, LEVELS, draws)[:, 1:2]
    )


@every_blur
@dtypes
def test_constant_images_stay(blur, dtype):
    images = torch.full((5, 3, 12, 17), 0.3, dtype=dtype)
    torch.testing.assert_close(blur(images, LEVELS), images, atol=TOLERANCES[dtype], rtol=0)


@every_blur
def test_input_is_left_alone_and_samples_are_independent(blur):
    images = photos((25, 31), torch.float32)
    before = images.clone()
    draws = [blur.draw(None) for _ in LEVELS]
    batch = blur.distort_batch(images, LEVELS, draws)
    assert torch.equal(images, before)
    for i, level in enumerate(LEVELS):
        assert torch.equal(blur.distort_batch(images[i : i + 1], [level], draws[i : i + 1]), batch[i : i + 1])


@every_blur
@pytest.mark.fake_cuda
def test_cuda_tensors_are_blurred_without_the_host(blur):
    draws = [blur.draw(None) for _ in LEVELS]
    with FakeTensorMode():
        images = torch.empty(5, 3, 25, 31, device="cuda")
        result = blur.distort_batch(images, LEVELS, draws)
    assert result.device.type == "cuda"
    assert result.shape == images.shape
