"""Jitter, patches, pixelation, quantization, blocks and resizing against scikit-image, NumPy and plain loops."""

import itertools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import skimage.filters
import skimage.transform
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.optimize import minimize
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._cubic import displace
from dsmix_aug.distortions._otsu import multi_otsu
from dsmix_aug.distortions.spatial import (
    ColorBlock,
    Jitter,
    NonEccentricityPatch,
    Pixelate,
    Quantization,
    Resize,
    jitter,
)

LEVELS = [1, 2, 3, 4, 5]
TABLES = {
    Jitter: (0.05, 0.1, 0.2, 0.5, 1),
    NonEccentricityPatch: (20, 40, 60, 80, 100),
    Pixelate: (0.01, 0.05, 0.1, 0.2, 0.5),
    Quantization: (20, 16, 13, 10, 7),
    ColorBlock: (2, 4, 6, 8, 10),
}
PHOTOS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "rocket")
every_type = pytest.mark.parametrize("distortion", TABLES, ids=lambda cls: cls.name)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def photo(name: str, height: int, width: int) -> np.ndarray:
    """(3, height, width) uint8 from the middle of a photo."""
    image = getattr(skimage.data, name)()
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width].transpose(2, 0, 1))


def photos(height: int, width: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> torch.Tensor:
    """Five photos, one for each level: (5, 3, height, width)."""
    images = np.stack([photo(name, height, width) for name in PHOTOS])
    return (torch.from_numpy(images).to(dtype) / 255).to(device)


def half_up(value: float) -> int:
    """Round as MATLAB does for positive values."""
    return math.floor(value + 0.5)


@every_type
def test_table_of_levels(distortion):
    assert distortion.values == TABLES[distortion]


@every_type
def test_severity_grows_with_level(distortion):
    """On average over the photos, each at all five levels with the same draws."""
    errors = torch.zeros(5)
    for image in photos(128, 144):
        images, draw = image.expand(5, -1, -1, -1), distortion().draw(None)
        errors += (distortion().distort_batch(images, LEVELS, [draw] * 5) - images).square().mean((1, 2, 3))
    assert errors[0] > 0
    assert (errors.diff() > 0).all()


@every_type
@pytest.mark.parametrize("channels", [1, 3])
def test_input_is_not_modified(distortion, channels, device):
    images = photos(60, 70, device=device)[:, :channels].contiguous()
    before = images.clone()
    result = distortion()(images, LEVELS)
    assert torch.equal(images, before)
    assert result.shape == images.shape
    assert result.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("distortion", [Jitter, NonEccentricityPatch, Pixelate, Quantization], ids=lambda cls: cls.name)
def test_three_equal_channels_give_what_one_gives(distortion):
    grey = photos(60, 70)[:, :1]
    draws = [distortion().draw(None) for _ in LEVELS]
    result = distortion().distort_batch(grey.expand(-1, 3, -1, -1), LEVELS, draws)
    expected = distortion().distort_batch(grey, LEVELS, draws).expand(-1, 3, -1, -1)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


@every_type
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.fake_cuda
def test_runs_on_fake_cuda_tensors(distortion, channels, monkeypatch):
    # There is no CUDA generator without CUDA.
    monkeypatch.setattr(_fields, "normal_fields", lambda seeds, shape, like: like.new_empty((len(seeds), *shape)))
    draws = [distortion().draw(None) for _ in LEVELS]
    with FakeTensorMode(allow_non_fake_inputs=False):
        images = torch.empty(5, channels, 60, 70, device="cuda")
        result = distortion().distort_batch(images, LEVELS, draws)
    assert (result.device.type, result.shape) == ("cuda", images.shape)


def keys_kernel(distance: float) -> float:
    """Cubic convolution with a = -1/2 as a function of the distance in px."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def displaced(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """One pass of jitter over (C, H, W), pixel by pixel, from (2, H, W) shifts."""
    height, width = image.shape[1:]
    result = np.zeros(image.shape)
    for row, column in np.ndindex(height, width):
        y, x = row - shift[0, row, column], column - shift[1, row, column]
        for r in range(math.floor(y) - 1, math.floor(y) + 3):
            for c in range(math.floor(x) - 1, math.floor(x) + 3):
                pixel = image[:, min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
                result[:, row, column] += keys_kernel(y - r) * keys_kernel(x - c) * pixel
    return result


class TestDisplace:
    @pytest.mark.parametrize("shift", [(0, 0), (0.25, -0.5), (-0.9, 1.3), (2.5, 3.75), (-7.1, 6.6)], ids=str)
    @pytest.mark.parametrize("name", ["astronaut", "rocket"])
    def test_constant_shifts_agree_with_scikit_image(self, name, shift):
        image = photo(name, 40, 50) / 255
        field = torch.tensor(shift, dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 40, 50)
        result = displace(torch.from_numpy(image).permute(1, 2, 0)[None], field)[0]
        back = skimage.transform.AffineTransform(translation=(-shift[1], -shift[0]))
        warped = [skimage.transform.warp(plane, back, order=3, mode="edge", clip=False) for plane in image]
        np.testing.assert_allclose(result.permute(2, 0, 1).numpy(), warped, atol=1e-6, rtol=0)

    def test_other_interpolations_would_show(self):
        """The bilinear one of a known port, and a = -3/4 as OpenCV and torch have it."""
        image = torch.from_numpy(photo("rocket", 40, 50)) / 255
        shift = torch.full((1, 2, 40, 50), 0.5)
        result = displace(image.permute(1, 2, 0)[None], shift)[0].permute(2, 0, 1)
        bilinear = scipy.ndimage.shift(image.numpy(), (0, 0.5, 0.5), order=1, mode="nearest")
        rows, columns = torch.meshgrid(torch.arange(40) - 0.5, torch.arange(50) - 0.5, indexing="ij")
        grid = torch.stack([columns / 49, rows / 39], -1)[None] * 2 - 1
        other = F.grid_sample(image[None], grid, "bicubic", padding_mode="border", align_corners=True)[0]
        inside = (slice(None), slice(4, -4), slice(4, -4))
        assert np.abs(result.numpy() - bilinear)[inside].max() > 0.03
        assert (result - other)[inside].abs().max() > 0.01

    @dtypes
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 3), (13, 17)], ids=str)
    def test_agrees_with_a_plain_loop(self, size, channels, dtype, device):
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(2, channels, *size, dtype=torch.float64, generator=generator)
        # From parts of a pixel to several times the image's size.
        shifts = torch.randn(2, 3, 2, *size, dtype=torch.float64, generator=generator) * torch.tensor(
            [0.3, 2, 30]
        ).view(1, 3, 1, 1, 1)
        expected = images.numpy().copy()
        for sample, shift in itertools.product(range(2), range(3)):
            expected[sample] = displaced(expected[sample], shifts[sample, shift].numpy())
        result = jitter(images.to(device, dtype), shifts.to(device, dtype))
        assert result.dtype == dtype
        tolerance = 1e-12 if dtype == torch.float64 else 1e-4
        np.testing.assert_allclose(result.cpu().numpy(), expected, atol=tolerance, rtol=0)


class TestJitter:
    def test_five_passes_of_normal_shifts(self, device):
        """Against the plain loop, fed with the fields of the drawn seeds."""
        images = photos(12, 15, torch.float64, device)
        draws = [Jitter().draw(None) for _ in LEVELS]
        fields = _fields.normal_fields([draw["seed"] for draw in draws], (5, 2, 12, 15), images).cpu().numpy()
        expected = images.cpu().numpy().copy()
        for sample, deviation in enumerate(TABLES[Jitter]):
            for shift in fields[sample]:
                expected[sample] = displaced(expected[sample], deviation * shift)
        result = Jitter().distort_batch(images, LEVELS, draws).cpu().numpy()
        np.testing.assert_allclose(result, expected.clip(0, 1), atol=1e-12, rtol=0)

    @pytest.mark.parametrize("size", [(1, 1), (3, 40), (64, 50)], ids=str)
    def test_no_pixel_at_the_border_turns_black(self, size):
        image = torch.full((20, 3, *size), 0.75)
        torch.testing.assert_close(Jitter()(image, 5), image, atol=2e-6, rtol=0)

    def test_more_draws_give_other_pixels(self):
        image = photos(40, 40)[:1].expand(3, -1, -1, -1)
        first, second, third = Jitter()(image, 4)
        assert (first - second).abs().mean() > 0.01
        assert (second - third).abs().mean() > 0.01


def with_patches(
    image: np.ndarray, patches: list[list[float]], view: bool = False, first: int = 1, rounded=half_up
) -> np.ndarray:
    """Copy patches one by one as the generator does; ``view``, ``first`` and ``rounded`` make a port's errors."""
    result = image.copy()
    height, width = image.shape[1:]
    for u1, u2, u3, u4 in patches:
        x, y = rounded(u1 * (width - 48)) + 16, rounded(u2 * (height - 48)) + 16
        to_x, to_y = rounded((u3 - 0.5) * 16 + x), rounded((u4 - 0.5) * 16 + y)
        if view:
            for r, c in np.ndindex(16, 16):
                result[:, to_y - first + r, to_x - first + c] = result[:, y - first + r, x - first + c]
        else:
            patch = result[:, y - first : y - first + 16, x - first : x - first + 16].copy()
            result[:, to_y - first : to_y - first + 16, to_x - first : to_x - first + 16] = patch
    return result


class TestNonEccentricityPatch:
    @dtypes
    @pytest.mark.parametrize("size", [(48, 48), (48, 70), (64, 80), (130, 61)], ids=str)
    def test_agrees_with_a_plain_loop(self, size, dtype, device):
        images = photos(*size, dtype, device)
        draws = [NonEccentricityPatch().draw(None) for _ in LEVELS]
        expected = [
            with_patches(image, draw["patches"][:count])
            for image, draw, count in zip(images.cpu().numpy(), draws, TABLES[NonEccentricityPatch], strict=True)
        ]
        np.testing.assert_array_equal(
            NonEccentricityPatch().distort_batch(images, LEVELS, draws).cpu().numpy(), expected
        )

    @pytest.mark.parametrize("error", [{"view": True}, {"first": 0}, {"rounded": math.floor}], ids=str)
    def test_errors_of_a_port_would_show(self, error):
        images = photos(128, 144)
        draws = [NonEccentricityPatch().draw(None) for _ in LEVELS]
        result = NonEccentricityPatch().distort_batch(images, LEVELS, draws).numpy()
        for image, moved, draw, count in zip(images.numpy(), result, draws, TABLES[NonEccentricityPatch], strict=True):
            wrong = with_patches(image, draw["patches"][:count], **error)
            assert (wrong != moved).mean() > 0.02

    @pytest.mark.parametrize("size", [(48, 48), (49, 61)], ids=str)
    @pytest.mark.parametrize("uniforms", list(itertools.product([0.0, 0.5, 1 - 2**-24], repeat=2)), ids=str)
    def test_extreme_draws_stay_inside(self, size, uniforms):
        images = photos(*size)
        draws = [{"patches": [[uniforms[0], uniforms[0], uniforms[1], uniforms[1]]] * 100}]
        expected = with_patches(images[0].numpy(), draws[0]["patches"][:20])
        np.testing.assert_array_equal(NonEccentricityPatch().distort_batch(images[:1], [1], draws)[0].numpy(), expected)

    def test_draws_are_uniform_and_the_same_for_every_level(self):
        patches = np.array([NonEccentricityPatch().draw(None)["patches"] for _ in range(50)])
        assert patches.shape == (50, 100, 4)
        assert patches.min() >= 0
        assert patches.max() < 1
        np.testing.assert_allclose(patches.mean((0, 1)), 0.5, atol=0.02)
        np.testing.assert_allclose(patches.var((0, 1)), 1 / 12, atol=0.005)

    @pytest.mark.parametrize("size", [(47, 100), (100, 47)], ids=str)
    def test_smaller_images_are_refused(self, size):
        with pytest.raises(ValueError, match="non_eccentricity_patch needs a height and width of at least 48 px"):
            NonEccentricityPatch()(torch.rand(3, *size), 1)


class TestPixelate:
    SIDES = (1, 2, 5, 61, 224, 333, 384, 512)

    @staticmethod
    def source_indices(level: int, length: int) -> list[int]:
        """Both steps of nearest-neighbour resizing along one axis, in exact arithmetic."""
        scale = Fraction(Decimal("0.95") - Decimal(str(TABLES[Pixelate][level - 1])) ** Decimal("0.6"))
        shrunk = math.ceil(scale * length)
        down = [min(math.floor((Fraction(i) + Fraction(1, 2)) / scale), length - 1) for i in range(shrunk)]
        up = [math.floor((Fraction(i) + Fraction(1, 2)) / Fraction(length, shrunk)) for i in range(length)]
        return [down[i] for i in up]

    @staticmethod
    def shown_columns(level: int, length: int) -> list[int]:
        """Which column each column of a pixelated ramp shows."""
        ramp = torch.arange(length, dtype=torch.float64).div(length).view(1, 1, length)
        return Pixelate()(ramp, level).flatten().mul(length).round().long().tolist()

    @pytest.mark.parametrize("length", SIDES)
    @pytest.mark.parametrize("level", LEVELS)
    def test_columns_agree_with_exact_arithmetic(self, level, length):
        assert self.shown_columns(level, length) == self.source_indices(level, length)

    @dtypes
    def test_agrees_with_a_plain_loop(self, dtype, device):
        images = photos(61, 90, dtype, device)
        result = Pixelate()(images, LEVELS).cpu().numpy()
        for level, image, pixelated in zip(LEVELS, images.cpu().numpy(), result, strict=True):
            rows, columns = self.source_indices(level, 61), self.source_indices(level, 90)
            expected = [[[plane[r, c] for c in columns] for r in rows] for plane in image]
            np.testing.assert_array_equal(pixelated, expected)

    def test_enlarging_agrees_with_torch(self):
        """Its "nearest-exact" is the rule of the second step, where the scale is the ratio of the sizes."""
        image = photos(224, 224)[:1]
        for level, shrunk in zip(LEVELS, (199, 176, 157, 128, 66), strict=True):
            scale = 0.95 - TABLES[Pixelate][level - 1] ** 0.6
            index = ((torch.arange(shrunk, dtype=torch.float64) + 0.5) / scale).floor().long().clamp(max=223)
            expected = F.interpolate(image[:, :, index][..., index], size=(224, 224), mode="nearest-exact")
            assert torch.equal(Pixelate()(image, level), expected)

    def test_does_not_drift(self):
        """A known port rounds sizes down and leaves out the half pixel, so that its images move by a pixel and more."""
        position = np.arange(224)
        for level in LEVELS:
            shown = np.array(self.shown_columns(level, 224))
            shrunk = math.floor((0.95 - TABLES[Pixelate][level - 1] ** 0.6) * 224)
            port = np.floor(np.floor(position * shrunk / 224) * 224 / shrunk)
            assert (shown != port).mean() > 0.9
            if level <= 3:
                assert abs((shown - position).mean()) < 0.4
                assert (port - position).mean() < -1


def otsu_thresholds(values: np.ndarray, count: int) -> np.ndarray:
    """Thresholds of 8 bit values that span 0 ... 255, as values."""
    return multi_otsu(torch.from_numpy(np.bincount(values.ravel(), minlength=256))[None], [count])[0].numpy()


def with_full_range(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image.flat[0], image.flat[1] = 0, 255
    return image


def between_class_score(histogram: np.ndarray, thresholds: np.ndarray) -> float:
    """Sum of weight x mean^2 over the classes, which rises with the between-class variance."""
    score = 0.0
    for part in np.split(np.arange(len(histogram)), np.floor(thresholds).astype(int) + 1):
        weight = histogram[part].sum()
        score += (histogram[part] * part).sum() ** 2 / weight if weight else 0
    return score


class TestMultiOtsu:
    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("name", PHOTOS)
    def test_agrees_with_scikit_image(self, name, count):
        image = with_full_range(photo(name, 100, 120))
        expected = skimage.filters.threshold_multiotsu(image, count + 1)
        found = otsu_thresholds(image, count)
        # scikit-image adds up in float32 and may miss the best by a level.
        np.testing.assert_allclose(found, expected, atol=1, rtol=0)
        histogram = np.bincount(image.ravel(), minlength=256)
        score, reached = between_class_score(histogram, found), between_class_score(histogram, expected)
        assert score > reached or (found == expected).all()

    def test_agrees_with_scikit_image_for_five_classes(self):
        image = with_full_range(photo("coffee", 100, 120)) // 4
        histogram = np.bincount(image.ravel(), minlength=64)
        expected = skimage.filters.threshold_multiotsu(classes=5, hist=(histogram, np.arange(64)))
        np.testing.assert_array_equal(multi_otsu(torch.from_numpy(histogram)[None], [4])[0].numpy(), expected)

    def test_is_the_best_of_all_choices(self):
        """Histograms of 10 bins, some of them empty, with every number of thresholds that 10 bins can have."""
        histograms = np.random.default_rng(0).integers(-6, 9, (9, 10)).clip(0)
        found = multi_otsu(torch.from_numpy(histograms), range(1, 10)).numpy()
        for count, (histogram, thresholds) in enumerate(zip(histograms, found, strict=True), 1):
            scores = [between_class_score(histogram, np.array(t)) for t in itertools.combinations(range(9), count)]
            assert between_class_score(histogram, thresholds[:count]) == pytest.approx(max(scores), rel=1e-12)
            assert (np.diff(thresholds[:count]) > 0).all()
            assert (thresholds[count:] == 9).all()


class TestQuantization:
    @staticmethod
    def quantized(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """The generator's mapping: each class to its upper threshold, the lowest to 0 and the topmost to 1."""
        return np.array([0, *thresholds[1:], 1])[np.digitize(values, thresholds, right=True)]

    @dtypes
    def test_8_bit_photos_agree_with_numpy(self, dtype, device):
        photos_8_bit = np.stack([with_full_range(photo(name, 61, 90)) for name in PHOTOS])
        images = (torch.from_numpy(photos_8_bit).to(dtype) / 255).to(device)
        result = Quantization()(images, LEVELS).cpu().numpy()
        for image, count, found in zip(photos_8_bit, TABLES[Quantization], result, strict=True):
            expected = self.quantized(image / 255, otsu_thresholds(image, count) / 255)
            np.testing.assert_allclose(found, expected, atol=1e-7, rtol=0)

    def test_fractional_values_agree_with_numpy(self):
        """Values anywhere between 0.2 and 0.7, a channel for each third of them: thresholds are common to all."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(3, 40, 50, dtype=torch.float64, generator=generator) / 6 + torch.tensor(
            [0.2, 0.2 + 1 / 6, 0.2 + 1 / 3]
        ).view(3, 1, 1)
        values = image.numpy()
        low, span = values.min(), values.max() - values.min()
        bins = np.ceil((values - low) / span * 255).astype(int)
        for level, count in enumerate(TABLES[Quantization], 1):
            expected = self.quantized(values, low + span * otsu_thresholds(bins, count) / 255)
            result = Quantization()(image, level).numpy()
            np.testing.assert_allclose(result, expected, atol=1e-12, rtol=0)
            assert len(np.unique(result)) == count + 1

    @pytest.mark.parametrize("name", PHOTOS)
    @pytest.mark.parametrize("level", LEVELS)
    def test_classes_show_their_upper_bound(self, name, level):
        image = torch.from_numpy(photo(name, 100, 120)) / 255
        result = Quantization()(image, level)
        shown = result.unique()
        assert len(shown) == TABLES[Quantization][level - 1] + 1
        assert (shown[0], shown[-1]) == (0, 1)
        assert (result >= image - 1e-6)[result > 0].all()
        below = shown[torch.searchsorted(shown, result) - 1]
        assert (image > below - 1e-6)[result > shown[2]].all()

    def test_evenly_spread_classes_would_show(self):
        """A known port shows the number of the class, not its threshold."""
        for image, level, count in zip(photos(100, 120), LEVELS, TABLES[Quantization], strict=True):
            shown = Quantization()(image, level).unique()
            assert (shown - torch.linspace(0, 1, count + 1)).abs().max() > 0.03

    def test_search_stopped_short_differs_by_a_few_levels(self):
        """The size of the deviation from the generator's local search, here a simplex search from even spacing."""
        differences, evenly = np.zeros(5), np.zeros(5)
        for name, (i, count) in itertools.product(PHOTOS, enumerate(TABLES[Quantization])):
            image = with_full_range(photo(name, 224, 224))
            histogram = np.bincount(image.ravel(), minlength=256) / image.size
            weight = np.append(0, np.cumsum(histogram))
            total = np.append(0, np.cumsum(histogram * np.arange(256)))

            def cost(thresholds, weight=weight, total=total):
                ends = np.concatenate([[0], np.floor(thresholds).astype(int) + 1, [256]])
                if (np.diff(ends) < 0).any():
                    return 0.0
                return -(np.diff(total[ends]) ** 2 / np.diff(weight[ends]).clip(1e-9)).sum()

            even = np.linspace(0, 255, count + 2)[1:-1]
            searched = minimize(cost, even, method="Nelder-Mead", options={"maxfev": 200 * count}).x
            expected = self.quantized(image / 255, searched / 255)
            result = Quantization()(torch.from_numpy(image) / 255, i + 1).numpy()
            differences[i] += np.abs(result - expected).mean() * 255 / len(PHOTOS)
            evenly[i] += np.abs(self.quantized(image / 255, even / 255) - expected).mean() * 255 / len(PHOTOS)
        assert ((differences > 4) & (differences < 10)).all()
        assert ((evenly > 2) & (evenly < 10)).all()

    def test_uint8_is_rounded(self):
        image = with_full_range(photo("coffee", 61, 90))
        result = Quantization()(torch.from_numpy(image), 3).numpy()
        expected = self.quantized(image / 255, otsu_thresholds(image, 13) / 255) * 255
        np.testing.assert_array_equal(result, np.rint(expected))

    def test_few_values(self):
        """A constant sample stays, black and white stay, and samples do not touch each other."""
        constant = torch.full((3, 8, 8), 0.4)
        binary = (torch.arange(64).view(1, 8, 8) % 3 > 0).float().expand(3, -1, -1)
        images = torch.stack([constant, binary, photos(8, 8)[0]])
        for level in LEVELS:
            result = Quantization()(images, level)
            assert torch.equal(result[:2], images[:2])
            assert torch.equal(result[2], Quantization()(images[2], level))

    @pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1)], ids=str)
    def test_tiny_images(self, size):
        result = Quantization()(torch.rand(5, 3, *size), LEVELS)
        assert result.isfinite().all()


def with_blocks(image: np.ndarray, blocks: list[list[float]], rounded=half_up) -> np.ndarray:
    """Fill blocks one by one; positions are counted from 1."""
    result = image.copy()
    height, width = image.shape[1:]
    for x, y, *color in blocks:
        left, top = rounded(x * (width - 32)), rounded(y * (height - 32))
        for row, column in itertools.product(range(top, top + 32), range(left, left + 32)):
            if row >= 1 and column >= 1:
                result[:, row - 1, column - 1] = color[: len(image)]
    return result


class TestColorBlock:
    @dtypes
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", [(32, 32), (32, 50), (64, 80), (130, 61)], ids=str)
    def test_agrees_with_a_plain_loop(self, size, channels, dtype, device):
        images = photos(*size, dtype, device)[:, :channels]
        draws = [ColorBlock().draw(None) for _ in LEVELS]
        expected = [
            with_blocks(image, draw["blocks"][:count])
            for image, draw, count in zip(images.cpu().numpy(), draws, TABLES[ColorBlock], strict=True)
        ]
        np.testing.assert_array_equal(ColorBlock().distort_batch(images, LEVELS, draws).cpu().numpy(), expected)

    def test_other_rounding_would_show(self):
        images = photos(128, 144)
        draws = [ColorBlock().draw(None) for _ in LEVELS]
        result = ColorBlock().distort_batch(images, LEVELS, draws).numpy()
        for image, covered, draw, count in zip(images.numpy(), result, draws, TABLES[ColorBlock], strict=True):
            assert (with_blocks(image, draw["blocks"][:count], rounded=math.floor) != covered).any()

    def test_first_and_last_positions(self):
        image = torch.zeros(1, 40, 50)
        for uniform, rows, columns in ((0.0, (0, 31), (0, 31)), (1 - 2**-24, (7, 39), (17, 49))):
            draws = [{"blocks": [[uniform, uniform, 0.5, 0.5, 0.5]] * 10}]
            inside = ColorBlock().distort_batch(image[None], [1], draws)[0, 0] == 0.5
            expected = torch.zeros(40, 50, dtype=torch.bool)
            expected[rows[0] : rows[1], columns[0] : columns[1]] = True
            assert torch.equal(inside, expected)

    def test_later_blocks_cover_earlier_ones(self):
        blocks = [[0.5, 0.5, k / 10, k / 10, k / 10] for k in range(10)]
        result = ColorBlock().distort_batch(torch.ones(5, 3, 96, 96), LEVELS, [{"blocks": blocks}] * 5)
        for covered, count in zip(result, TABLES[ColorBlock], strict=True):
            torch.testing.assert_close(covered.unique(), torch.tensor([(count - 1) / 10, 1]))

    def test_draws_are_uniform_and_the_same_for_every_level(self):
        blocks = np.array([ColorBlock().draw(None)["blocks"] for _ in range(500)])
        assert blocks.shape == (500, 10, 5)
        assert blocks.min() >= 0
        assert blocks.max() < 1
        np.testing.assert_allclose(blocks.mean((0, 1)), 0.5, atol=0.02)
        np.testing.assert_allclose(blocks.var((0, 1)), 1 / 12, atol=0.005)

    @pytest.mark.parametrize("size", [(31, 100), (100, 31)], ids=str)
    def test_smaller_images_are_refused(self, size):
        with pytest.raises(ValueError, match="color_block needs a height and width of at least 32 px"):
            ColorBlock()(torch.rand(3, *size), 1)


class TestResize:
    SCALES = (0.75, 0.5, 0.35, 0.25, 0.15)

    def shrunk_size(self, level: int, height: int, width: int) -> tuple[int, int]:
        return tuple(max(1, half_up(self.SCALES[level - 1] * side)) for side in (height, width))

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("size", [(61, 90), (48, 64), (2, 3), (3, 40), (40, 3), (40, 1)], ids=str)
    @pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
    def test_agrees_with_pillow(self, kernel, size, level, device):
        image = photo("coffee", *size).astype(np.float32) / 255
        height, width = self.shrunk_size(level, *size)
        expected = []
        for plane in image:
            small = Image.fromarray(plane).resize((width, height), Image.Resampling[kernel.upper()])
            expected.append(np.asarray(small.resize(size[::-1], Image.Resampling[kernel.upper()])))
        images = torch.from_numpy(image)[None].to(device)
        ours = Resize().distort_batch(images, [level], [{"kernel": kernel}])[0].cpu().numpy()
        np.testing.assert_allclose(ours, np.stack(expected).clip(0, 1), atol=2e-6)

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("size", [(61, 90), (48, 64), (1, 1)], ids=str)
    def test_nearest_agrees_with_exact_arithmetic(self, size, level, device):
        images = torch.from_numpy(photo("coffee", *size))[None].to(device) / 255
        expected = images[0].cpu()
        for dim, (side, shrunk) in enumerate(zip(size, self.shrunk_size(level, *size), strict=True), start=1):
            for source, target in ((side, shrunk), (shrunk, side)):
                index = [math.floor(Fraction(2 * i + 1, 2) * Fraction(source, target)) for i in range(target)]
                expected = expected.index_select(dim, torch.tensor(index))
        ours = Resize().distort_batch(images, [level], [{"kernel": "nearest"}])[0]
        assert torch.equal(ours.cpu(), expected)

    @pytest.mark.parametrize("level", LEVELS)
    def test_area_agrees_with_a_plain_loop(self, level):
        image = photo("coffee", 31, 44) / 255
        expected = image
        for target in (self.shrunk_size(level, 31, 44), (31, 44)):
            source, expected = expected, np.empty((3, *target))
            for r, c in np.ndindex(*target):
                rows = slice(r * source.shape[1] // target[0], -(-(r + 1) * source.shape[1] // target[0]))
                columns = slice(c * source.shape[2] // target[1], -(-(c + 1) * source.shape[2] // target[1]))
                expected[:, r, c] = source[:, rows, columns].mean((1, 2))
        ours = Resize().distort_batch(torch.from_numpy(image)[None], [level], [{"kernel": "area"}])[0]
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)

    def test_kernels_are_drawn_equally_often(self):
        generator = torch.Generator().manual_seed(0)
        drawn = [Resize().draw(generator)["kernel"] for _ in range(4000)]
        counts = [drawn.count(kernel) for kernel in ("bicubic", "bilinear", "area", "nearest")]
        assert sum(counts) == 4000
        assert max(abs(count - 1000) for count in counts) < 5 * (4000 * 0.25 * 0.75) ** 0.5

    @pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "area", "nearest"])
    def test_severity_grows_with_level(self, kernel):
        errors = torch.zeros(5)
        for image in photos(128, 144):
            images = image.expand(5, -1, -1, -1)
            errors += (
                (Resize().distort_batch(images, LEVELS, [{"kernel": kernel}] * 5) - images).square().mean((1, 2, 3))
            )
        assert (errors.diff() > 0).all()
