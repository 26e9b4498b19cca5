"""Brighten, darken, mean shift and exposure against SciPy, scikit-image and NumPy."""

import color_oracles
import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from scipy.interpolate import CubicSpline
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions.brightness import Brighten, Darken, Exposure, MeanShift

LEVELS = [1, 2, 3, 4, 5]
TABLES = {
    Brighten: (0.1, 0.2, 0.4, 0.7, 1.1),
    Darken: (0.05, 0.1, 0.2, 0.4, 0.8),
    MeanShift: (0.15, 0.08, 0, -0.08, -0.15),
}
every_type = pytest.mark.parametrize("distortion", TABLES, ids=lambda cls: cls.name)
dtypes = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)], ids=str)


def photos(dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    """Five crops of a photo with red, blue, black and white in it, one for each level: (5, 3, 61, 90)."""
    crops = [skimage.data.astronaut()[top : top + 61, 60:150] for top in range(200, 400, 40)]
    return (torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().to(dtype) / 255).to(device)


def bent(tones: np.ndarray, amount: float) -> np.ndarray:
    """The generator's tone curve: a not-a-knot spline through three points, clamped."""
    return CubicSpline([0, 0.5, 1], [0, 0.5 + amount / 2, 1], bc_type="not-a-knot")(tones).clip(0, 1)


def brightened(image: np.ndarray, amount: float, swap: bool = False) -> np.ndarray:
    """Brighten (3, H, W); ``swap`` makes the error of a known port, red for blue in the L*a*b* part."""
    lab = color_oracles.rgb_to_lab(image[None, ::-1] if swap else image[None])
    lab[:, 0] = 100 * bent(lab[:, 0] / 100, amount)
    relit = color_oracles.lab_to_rgb(lab)[0].clip(0, 1)
    return (2 * bent(image, amount) + (relit[::-1] if swap else relit)) / 3


@every_type
def test_table_of_levels(distortion):
    assert distortion.values == TABLES[distortion]


class TestBrighten:
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-7)], ids=str)
    def test_agrees_with_the_definition(self, dtype, tolerance, device):
        images = photos(dtype, device)
        expected = [brightened(x, a) for x, a in zip(images.double().cpu().numpy(), TABLES[Brighten], strict=True)]
        result = Brighten()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), expected, atol=tolerance, rtol=0)

    @pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
    @pytest.mark.parametrize("level", LEVELS)
    def test_agrees_with_scikit_image(self, level):
        image = photos()[level - 1]
        lab = skimage.color.rgb2lab(image.numpy(), channel_axis=0)
        lab[0] = 100 * bent(lab[0] / 100, Brighten.values[level - 1])
        relit = skimage.color.lab2rgb(lab, channel_axis=0)
        expected = (2 * bent(image.numpy(), Brighten.values[level - 1]) + relit) / 3
        np.testing.assert_allclose(Brighten()(image, level).numpy(), expected, atol=2e-5, rtol=0)

    def test_red_taken_for_blue_would_show(self):
        images = photos()
        swapped = [brightened(x, a, swap=True) for x, a in zip(images.numpy(), TABLES[Brighten], strict=True)]
        assert (np.abs(Brighten()(images, LEVELS).numpy() - swapped).max(axis=(1, 2, 3)) > 0.01).all()

    @dtypes
    def test_one_channel_follows_the_curve_alone(self, dtype, tolerance, device):
        tones = torch.linspace(0, 1, 101, dtype=dtype, device=device).view(1, 1, -1)
        for level, amount in enumerate(TABLES[Brighten], 1):
            result = Brighten()(tones, level).cpu().numpy()
            np.testing.assert_allclose(result, bent(tones.cpu().numpy(), amount), atol=tolerance, rtol=0)

    def test_black_and_white_stay(self):
        ends = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(5, 3, 1, 2)
        torch.testing.assert_close(Brighten()(ends, LEVELS), ends, atol=1e-6, rtol=0)


class TestDarken:
    @dtypes
    def test_agrees_with_the_spline(self, dtype, tolerance, device):
        images = photos(dtype, device)
        expected = [bent(x, -a) for x, a in zip(images.double().cpu().numpy(), TABLES[Darken], strict=True)]
        result = Darken()(images, LEVELS)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.cpu().numpy(), expected, atol=tolerance, rtol=0)

    def test_level_5_has_no_shadows(self):
        tones = torch.tensor([0.3, 0.374, 0.376, 0.5]).view(1, 1, 4)
        assert Darken()(tones, 5).flatten().gt(0).tolist() == [False, False, True, True]


class TestMeanShift:
    @dtypes
    def test_adds_and_clamps(self, dtype, tolerance, device):
        images = photos(dtype, device)
        offsets = np.array(TABLES[MeanShift]).reshape(5, 1, 1, 1)
        expected = (images.double().cpu().numpy() + offsets).clip(0, 1)
        np.testing.assert_allclose(MeanShift()(images, LEVELS).cpu().numpy(), expected, atol=tolerance, rtol=0)

    def test_level_3_is_a_bitwise_copy(self):
        images = photos()
        result = MeanShift()(images, 3)
        assert torch.equal(result, images)
        assert result.data_ptr() != images.data_ptr()

    def test_kadis_mode_leaves_a_stretch_of_one_side(self):
        image = photos()[:1].clone()
        image[..., 0, 0], image[..., 0, 1] = 0, 1
        for level, offset in enumerate(TABLES[MeanShift], 1):
            stretched = (image / (1 - offset)).clamp(max=1) if offset > 0 else (image + offset).clamp(0) / (1 + offset)
            torch.testing.assert_close(MeanShift("kadis")(image, level), stretched, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("distortion", "sign"), [(Brighten, 1), (Darken, -1)], ids=["brighten", "darken"])
def test_every_level_goes_further_the_same_way(distortion, sign):
    image = photos()[2].expand(5, -1, -1, -1)
    means = torch.cat([image[:1], distortion()(image, LEVELS)]).mean((1, 2, 3))
    assert (means.diff() * sign > 0.005).all()


def test_mean_shift_goes_from_bright_to_dark():
    image = photos()[2].expand(5, -1, -1, -1)
    assert (MeanShift()(image, LEVELS).mean((1, 2, 3)).diff() < -0.01).all()


@every_type
@pytest.mark.parametrize("channels", [1, 3])
def test_input_is_not_modified(distortion, channels):
    images = photos()[:, :channels].contiguous()
    before = images.clone()
    result = distortion()(images, LEVELS)
    assert torch.equal(images, before)
    assert result.data_ptr() != images.data_ptr()


@every_type
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.fake_cuda
def test_runs_on_fake_cuda_tensors(distortion, channels):
    with FakeTensorMode(allow_non_fake_inputs=False):
        images = torch.empty(5, channels, 40, 50, device="cuda")
        result = distortion().distort_batch(images, LEVELS, [{}] * 5)
    assert (result.device.type, result.shape) == ("cuda", images.shape)


class TestExposure:
    STOPS = (0.5, 1.0, 1.5, 2.0, 3.0)

    @staticmethod
    def exposed(srgb: np.ndarray, stops: float) -> np.ndarray:
        """IEC 61966-2-1 to linear light and back, the curve's two parts selected one by one."""
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        linear = np.minimum(linear * 2**stops, 1)
        return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)

    @dtypes
    @pytest.mark.parametrize("over", [True, False])
    def test_agrees_with_numpy(self, over, dtype, tolerance, device):
        images = photos(dtype, device)
        ours = Exposure().distort_batch(images, LEVELS, [{"over": over}] * 5).cpu().numpy()
        for image, result, stops in zip(photos().numpy(), ours, self.STOPS, strict=True):
            # The standard rounds its knee, so that both parts meet to 1e-7 only.
            np.testing.assert_allclose(
                result, self.exposed(image, stops if over else -stops), atol=max(tolerance, 2e-7)
            )

    def test_one_stop_doubles_linear_light(self):
        """Against scikit-image: Y of XYZ is linear in light."""
        images = photos() * 0.5
        for over, factor in ((True, 2.0), (False, 0.5)):
            result = Exposure().distort_batch(images, [2] * 5, [{"over": over}] * 5)
            before, after = (skimage.color.rgb2xyz(x.permute(0, 2, 3, 1).numpy()) for x in (images, result))
            np.testing.assert_allclose(after, factor * before, atol=1e-6)

    def test_both_ways_are_drawn_equally_often(self):
        generator = torch.Generator().manual_seed(0)
        over = [Exposure().draw(generator)["over"] for _ in range(2000)]
        assert abs(sum(over) - 1000) < 5 * 2000**0.5 / 2

    @pytest.mark.parametrize("over", [True, False])
    def test_severity_grows_with_level(self, over):
        images = photos()
        errors = [
            (Exposure().distort_batch(images, [i] * 5, [{"over": over}] * 5) - images).square().mean() for i in LEVELS
        ]
        assert (torch.stack(errors).diff() > 0).all()
