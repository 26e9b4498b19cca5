"""Colour diffusion, shift and saturation against NumPy, SciPy and scikit-image."""

import math
from collections.abc import Callable
from typing import Any

import color_oracles
import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions import Distortion
from dsmix_aug.distortions.color import (
    ColorDiffusion,
    ColorSaturationHSV,
    ColorSaturationLab,
    ColorShift,
    _whole_shift,
)

LEVELS = [1, 2, 3, 4, 5]
#: One pixel wide, smaller than the kernels, and large.
SIZES = [(1, 9), (4, 7), (61, 90)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
lab_dtypes = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.float64, 1e-6)])


def photos(size: tuple[int, int], dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    """Five crops of a colourful photo, one for each level: (5, 3, *size)."""
    height, width = size
    crops = [skimage.data.astronaut()[top : top + height, 150 : 150 + width] for top in range(300, 400, 20)]
    return (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().to(dtype) / 255).to(device)


def mapmm(values: np.ndarray) -> np.ndarray:
    """The generator's stretch to minimum and maximum."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if low < high else values


def lab_oracle(
    distort_lab: Callable[[np.ndarray, int], np.ndarray],
    images: torch.Tensor,
    swap: bool = False,
    clamp_fz: bool = False,
    rgb_to_xyz: np.ndarray = color_oracles.RGB_TO_XYZ,
) -> np.ndarray:
    """Apply ``distort_lab(plane, level)`` to a* and b*; ``swap`` and ``clamp_fz`` are errors of a known port."""
    images = images.double().cpu().numpy()
    lab = color_oracles.rgb_to_lab(images[:, ::-1] if swap else images, rgb_to_xyz)
    for level, planes in enumerate(lab, start=1):
        for plane in planes[1:]:
            plane[...] = distort_lab(plane, level)
    result = color_oracles.lab_to_rgb(lab, rgb_to_xyz, clamp_fz).clip(0, 1)
    return result[:, ::-1] if swap else result


def skimage_constants_move(distortion: Distortion, distorted: Callable[..., np.ndarray]) -> tuple[float, float]:
    """Maximum and mean by which scikit-image's RGB to XYZ matrix moves level 5 of a whole photo, the worst of three."""
    differences = []
    for photo in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()):
        images = torch.from_numpy(photo / 255).permute(2, 0, 1).expand(5, -1, -1, -1)
        expected = distorted(images, rgb_to_xyz=color_oracles.SKIMAGE_RGB_TO_XYZ)[4]
        differences.append(np.abs(distortion(images[4], 5).numpy() - expected))
    return max(d.max() for d in differences), max(d.mean() for d in differences)


class TestColorDiffusion:
    AMOUNTS = (1, 3, 6, 8, 12)

    def diffused(self, images: torch.Tensor, **options: Any) -> np.ndarray:
        def diffuse(plane: np.ndarray, level: int) -> np.ndarray:
            amount = self.AMOUNTS[level - 1]
            sigma = 1.5 * amount + 2
            return amount * scipy.ndimage.gaussian_filter(plane, sigma, radius=math.ceil(2 * sigma), mode="nearest")

        return lab_oracle(diffuse, images, **options)

    @sizes
    @lab_dtypes
    def test_agrees_with_the_definition(self, size, dtype, tolerance, device):
        images = photos(size, dtype, device)
        result = ColorDiffusion()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), self.diffused(images), atol=tolerance, rtol=0)

    @pytest.mark.parametrize("error", ["swap", "clamp_fz"])
    def test_errors_of_a_port_would_show(self, error):
        images = photos((61, 90))
        difference = np.abs(ColorDiffusion()(images, LEVELS).numpy() - self.diffused(images, **{error: True}))
        assert (difference.max(axis=(1, 2, 3))[2:] > 0.02).all()

    def test_deviation_is_as_documented(self):
        maximum, mean = skimage_constants_move(ColorDiffusion(), self.diffused)
        assert maximum < 0.006
        assert mean < 5e-5

    def test_values_are_not_rounded_to_8_bit(self):
        result = ColorDiffusion()(photos((61, 90)), 1)
        assert (result * 255 - (result * 255).round()).abs().mean() == pytest.approx(0.25, abs=0.05)


class TestColorSaturationLab:
    FACTORS = (1, 2, 3, 6, 9)

    def saturated(self, images: torch.Tensor, **options: Any) -> np.ndarray:
        return lab_oracle(lambda plane, level: plane * self.FACTORS[level - 1], images, **options)

    @sizes
    @lab_dtypes
    def test_agrees_with_the_definition(self, size, dtype, tolerance, device):
        images = photos(size, dtype, device)
        result = ColorSaturationLab()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), self.saturated(images), atol=tolerance, rtol=0)

    def test_deviation_is_as_documented(self):
        maximum, mean = skimage_constants_move(ColorSaturationLab(), self.saturated)
        assert maximum < 0.011
        assert mean < 5e-5

    def test_agrees_with_skimage_where_that_clamps_nothing_inside(self):
        images = photos((61, 90))
        lab = skimage.color.rgb2lab(images.numpy(), channel_axis=1)
        lab[:, 1:] *= 2
        with pytest.warns(UserWarning, match="negative Z values"):
            expected = skimage.color.lab2rgb(lab, channel_axis=1)
        np.testing.assert_allclose(ColorSaturationLab()(images, 2), expected, atol=2e-3)

    @pytest.mark.parametrize("error", ["swap", "clamp_fz"])
    def test_errors_of_a_port_would_show(self, error):
        images = photos((61, 90))
        difference = np.abs(ColorSaturationLab()(images, LEVELS).numpy() - self.saturated(images, **{error: True}))
        assert (difference.max(axis=(1, 2, 3))[3:] > 0.1).all()

    def test_first_level_leaves_the_image(self):
        images = photos((20, 30))
        assert torch.equal(ColorSaturationLab()(images, 1), images)


class TestColorSaturationHSV:
    FACTORS = (0.4, 0.2, 0.1, 0, -0.4)

    def saturated(self, images: torch.Tensor) -> np.ndarray:
        hsv = skimage.color.rgb2hsv(images.double().cpu().numpy(), channel_axis=1)
        hsv[:, 1] *= np.array(self.FACTORS)[:, None, None]
        return skimage.color.hsv2rgb(hsv, channel_axis=1)

    @sizes
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
    def test_agrees_with_skimage(self, size, dtype, tolerance, device):
        images = photos(size, dtype, device)
        expected = self.saturated(images)
        unclamped = ColorSaturationHSV().distort(images, ColorSaturationHSV.values, [{}] * 5)
        np.testing.assert_allclose(unclamped.cpu().numpy(), expected, atol=tolerance, rtol=0)
        result = ColorSaturationHSV()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), expected.clip(0, 1), atol=tolerance, rtol=0)

    def test_kadis_mode_compresses_what_leaves_the_range(self):
        images = photos((61, 90)) * 0.9
        stretched = torch.from_numpy(np.stack([mapmm(image) for image in images.numpy()]))
        expected = [mapmm(image) for image in self.saturated(stretched)]
        assert self.saturated(stretched)[4].max() > 1.1
        np.testing.assert_allclose(ColorSaturationHSV("kadis")(images, LEVELS), np.stack(expected), atol=1e-12)


class TestColorShift:
    AMOUNTS = (1, 3, 6, 8, 12)

    @staticmethod
    def shifted(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
        """The oracle for one image (3, H, W) and a shift of whole pixels (down, right)."""
        grey = np.tensordot([0.298936, 0.587043, 0.114021], image, axes=1)
        edges = np.hypot(*np.gradient(grey))
        edges = mapmm(scipy.ndimage.gaussian_filter(edges, 4, radius=8, mode="nearest"))
        edges = mapmm(edges.clip(0.1, 1))
        rank = math.floor(0.99 * edges.size + 0.5)
        high = np.sort(edges, axis=None)[rank - 1]
        low = 1 - np.sort(1 - edges, axis=None)[rank - 1]
        edges = mapmm(edges.clip(low, high))
        result = image.copy()
        _, height, width = image.shape
        for row in range(height):
            for column in range(width):
                source = image[1, max(row - shift[0], 0), max(column - shift[1], 0)]
                weight = edges[row, column]
                result[1, row, column] = weight * source + (1 - weight) * image[1, row, column]
        return result

    @pytest.mark.parametrize("size", [(2, 9), (4, 7), (61, 90)], ids=str)
    @pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.9, 0.3), (0.2, 0.4)], ids=str)
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
    def test_agrees_with_the_definition(self, size, direction, dtype, tolerance, device):
        images = photos(size, dtype, device)
        result = ColorShift().distort_batch(images, LEVELS, [{"direction": direction}] * 5)
        assert result.dtype == dtype
        scale = np.array(direction) / np.linalg.norm(direction)
        for image, amount, moved in zip(images.cpu().numpy(), self.AMOUNTS, result.cpu().numpy(), strict=True):
            down, right = np.floor(scale * amount + 0.5).astype(int)
            expected = self.shifted(image.astype(np.float64), (down, right))
            np.testing.assert_allclose(moved, expected, atol=tolerance, rtol=0)

    def test_nothing_wraps_around(self):
        image = torch.full((1, 3, 40, 40), 0.2, dtype=torch.float64)
        image[..., 30:, :] = 0.9  # would come in at the top
        image[..., 30:] = 0.9  # would come in at the left
        result = ColorShift().distort_batch(image, [5], [{"direction": (0.8, 0.6)}])
        assert torch.equal(result[:, :, :8, :8], image[:, :, :8, :8])
        assert not torch.equal(result, image)

    def test_the_green_channel_moves_down_and_right_at_edges_only(self):
        image = torch.full((1, 3, 60, 60), 0.2, dtype=torch.float64)
        image[..., 10:20, 10:20] = 0.9
        result = ColorShift().distort_batch(image, [2], [{"direction": (1.0, 1.0)}])
        assert torch.equal(result[:, [0, 2]], image[:, [0, 2]])
        moved = (result - image)[0, 1]
        assert moved[20:22, 12:20].min() > 0.1  # below the square: green came
        assert moved[10:12, 10:18].max() < -0.1  # at its top: green went
        assert moved[45:, 45:].abs().max() == 0

    def test_constant_images_stay(self):
        images = torch.full((5, 3, 12, 17), 0.3)
        torch.testing.assert_close(ColorShift()(images, LEVELS), images, atol=1e-7, rtol=0)

    def test_directions_are_uniform_on_the_unit_square(self):
        generator = torch.Generator().manual_seed(0)
        draws = [ColorShift().draw(generator)["direction"] for _ in range(2000)]
        assert all(isinstance(value, float) for direction in draws for value in direction)
        points = np.array(draws)
        assert points.min() >= 0
        assert points.max() < 1
        np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=0.02)
        assert abs(np.corrcoef(points.T)[0, 1]) < 0.06

    def test_shifts_are_rounded_half_up(self):
        assert {_whole_shift((u, 1 - u), 1) for u in np.linspace(0, 1, 101)} == {(1, 0), (0, 1), (1, 1)}
        assert _whole_shift((3.0, 4.0), 12) == (7, 10)
        assert _whole_shift((7.0, 24.0), 12.5) == (4, 12)  # 3.5 and 12
        assert _whole_shift((0.0, 0.0), 12) == (0, 0)

    def test_one_pixel_wide_images_are_an_error(self):
        with pytest.raises(ValueError, match="color_shift needs a height and width of at least 2 px, got 1x9"):
            ColorShift()(torch.rand(3, 1, 9), 1)


EVERY = (ColorDiffusion(), ColorShift(), ColorSaturationHSV(), ColorSaturationLab())
every_type = pytest.mark.parametrize("distortion", EVERY, ids=lambda distortion: distortion.name)


@every_type
def test_strength_grows_with_the_level(distortion):
    photo = torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1)[None] / 255
    draws = [distortion.draw(None)]
    errors = [(distortion.distort_batch(photo, [level], draws) - photo).square().mean().item() for level in LEVELS]
    assert errors == sorted(errors)
    assert errors[-1] > 1.2 * errors[1] > 0


@every_type
def test_grey_images_are_an_error(distortion):
    with pytest.raises(ValueError, match=f"{distortion.name} needs 3 colour channels, got 1"):
        distortion(torch.rand(2, 1, 8, 8), 2)


@every_type
def test_input_is_left_alone_and_samples_are_independent(distortion):
    images = photos((25, 31), torch.float32)
    before = images.clone()
    draws = [distortion.draw(None) for _ in LEVELS]
    batch = distortion.distort_batch(images, LEVELS, draws)
    assert torch.equal(images, before)
    for i, level in enumerate(LEVELS):
        assert torch.equal(distortion.distort_batch(images[i : i + 1], [level], draws[i : i + 1]), batch[i : i + 1])


@every_type
@pytest.mark.fake_cuda
def test_cuda_tensors_are_distorted_without_the_host(distortion):
    draws = [distortion.draw(None) for _ in LEVELS]
    with FakeTensorMode():
        images = torch.empty(5, 3, 25, 31, device="cuda")
        result = distortion.distort_batch(images, LEVELS, draws)
    assert result.device.type == "cuda"
    assert result.shape == images.shape
