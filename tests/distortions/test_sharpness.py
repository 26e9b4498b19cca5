"""High sharpen against SciPy and NumPy, contrast change against SciPy's spline."""

import color_oracles
import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions.sharpness import ContrastChange, HighSharpen

LEVELS = [1, 2, 3, 4, 5]
#: One pixel, smaller than the window of the sharpening, and large.
SIZES = [(1, 1), (1, 9), (4, 7), (61, 90)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


def photos(size: tuple[int, int], dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    """Five crops of a photo, one for each level: (5, 3, *size)."""
    height, width = size
    crops = [skimage.data.coffee()[top : top + height, 150 + top : 150 + top + width] for top in range(20, 120, 20)]
    return (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().to(dtype) / 255).to(device)


class TestHighSharpen:
    AMOUNTS = (1, 2, 3, 6, 12)
    TOLERANCES = ((torch.float32, 5e-5), (torch.float64, 1e-6))

    def sharpened(
        self,
        images: torch.Tensor,
        sigma: float = 3,
        swap: bool = False,
        rgb_to_xyz: np.ndarray = color_oracles.RGB_TO_XYZ,
    ) -> np.ndarray:
        """The oracle: unsharp masking of L* only; ``sigma`` 6 and ``swap`` are errors of a known port."""
        images = images.double().cpu().numpy()
        lab = color_oracles.rgb_to_lab(images[:, ::-1] if swap else images, rgb_to_xyz)
        for sample, amount in zip(lab, self.AMOUNTS, strict=True):
            blurred = scipy.ndimage.gaussian_filter(sample[0], sigma, radius=6, mode="nearest")
            sample[0] += amount * (sample[0] - blurred)
        result = color_oracles.lab_to_rgb(lab, rgb_to_xyz).clip(0, 1)
        return result[:, ::-1] if swap else result

    @sizes
    @pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
    def test_agrees_with_the_definition(self, size, dtype, tolerance, device):
        images = photos(size, dtype, device)
        result = HighSharpen()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), self.sharpened(images), atol=tolerance, rtol=0)

    @pytest.mark.parametrize("error", [{"sigma": 6}, {"swap": True}])
    def test_errors_of_a_port_would_show(self, error):
        images = photos((61, 90))
        difference = np.abs(HighSharpen()(images, LEVELS).numpy() - self.sharpened(images, **error))
        assert (difference.max(axis=(1, 2, 3)) > 1e-2).all()

    def test_deviation_is_as_documented(self):
        for photo in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()):
            images = torch.from_numpy(photo / 255).permute(2, 0, 1).expand(5, -1, -1, -1)
            expected = self.sharpened(images, rgb_to_xyz=color_oracles.SKIMAGE_RGB_TO_XYZ)
            difference = np.abs(HighSharpen()(images, LEVELS).numpy() - expected)
            assert difference.max() < 3e-4
            assert difference.mean() < 6e-6

    def test_a_grey_image_is_sharpened_as_it_is(self):
        images = photos((61, 90))[:, :1]
        result = HighSharpen()(images, LEVELS)
        for image, amount, sharpened in zip(images.numpy(), self.AMOUNTS, result.numpy(), strict=True):
            blurred = scipy.ndimage.gaussian_filter(image[0], 3, radius=6, mode="nearest")
            expected = (image[0] + amount * (image[0] - blurred)).clip(0, 1)
            np.testing.assert_allclose(sharpened[0], expected, atol=1e-12)

    def test_grows_with_the_level(self):
        images = photos((61, 90))[:1].expand(5, -1, -1, -1)
        errors = (HighSharpen()(images, LEVELS) - images).square().mean((1, 2, 3)).tolist()
        assert errors == sorted(errors)
        assert errors[-1] > 4 * errors[0] > 0


class TestContrastChange:
    AMOUNTS = (0.3, 0.15, 0, -0.4, -0.6)

    @sizes
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
    def test_is_the_spline_through_five_points(self, size, channels, dtype, tolerance, device):
        images = photos(size, dtype, device)[:, :channels]
        result = ContrastChange()(images, LEVELS)
        assert result.dtype == dtype
        for image, amount, changed in zip(images.cpu().numpy(), self.AMOUNTS, result.cpu().numpy(), strict=True):
            knots = [0, 0.3, 0.5, 0.7, 1], [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1]
            spline = scipy.interpolate.CubicSpline(*knots, bc_type="not-a-knot")
            np.testing.assert_allclose(changed, spline(image.astype(np.float64)).clip(0, 1), atol=tolerance, rtol=0)

    def test_levels_go_from_more_contrast_to_less(self):
        images = photos((61, 90))[:1].expand(5, -1, -1, -1)
        contrasts = ContrastChange()(images, LEVELS).std((1, 2, 3)).tolist()
        assert contrasts == sorted(contrasts, reverse=True)
        assert contrasts[2] > images[0].std() > contrasts[3]

    @pytest.mark.parametrize("level", LEVELS)
    def test_black_middle_grey_and_white_stay(self, level):
        ends = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).view(1, 1, 3)
        torch.testing.assert_close(ContrastChange()(ends, level), ends, atol=1e-15, rtol=0)


both = pytest.mark.parametrize("distortion", [HighSharpen(), ContrastChange()], ids=lambda distortion: distortion.name)


@both
def test_input_is_left_alone_and_samples_are_independent(distortion):
    images = photos((25, 31), torch.float32)
    before = images.clone()
    batch = distortion(images, LEVELS)
    assert torch.equal(images, before)
    for i, level in enumerate(LEVELS):
        assert torch.equal(distortion(images[i], level), batch[i])


@both
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.fake_cuda
def test_cuda_tensors_are_distorted_without_the_host(distortion, channels):
    with FakeTensorMode():
        images = torch.empty(5, channels, 25, 31, device="cuda")
        result = distortion.distort_batch(images, LEVELS, [{}] * 5)
    assert result.device.type == "cuda"
    assert result.shape == images.shape
