"""Colour quantisation: palettes against Pillow's and brute force, dithering against a plain NumPy loop."""

import itertools

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from dsmix_aug.distortions._palette import dither, fit_palette
from dsmix_aug.distortions.color import ColorQuantization

SIZES = (64, 48, 32, 16, 8)
LEVELS = [1, 2, 3, 4, 5]
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def crop(name: str, height: int = 96, width: int = 104) -> np.ndarray:
    """(height, width, 3) uint8."""
    photo = getattr(skimage.data, name)()
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def distances(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Squared distance of each pixel to each colour, (pixels, colours)."""
    return np.square(image.reshape(-1, 1, 3) - palette.astype(float)).sum(-1)


def squared_error(image: np.ndarray, palette: np.ndarray) -> float:
    """Mean squared error per channel, every pixel shown in its nearest colour."""
    return float(distances(image, palette).min(1).mean() / 3)


def pillow_palette(image: np.ndarray, size: int, kmeans: int) -> np.ndarray:
    quantized = Image.fromarray(image).quantize(size, Image.Quantize.MEDIANCUT, kmeans=kmeans)
    return np.array(quantized.getpalette()).reshape(-1, 3)[:size]


def block_means(image: np.ndarray, block: int = 16) -> np.ndarray:
    height, width = (side // block * block for side in image.shape[:2])
    return image[:height, :width].reshape(height // block, block, width // block, block, 3).mean((1, 3))


def floyd_steinberg(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    work = np.pad(image.astype(float), ((0, 1), (1, 1), (0, 0)))
    shown = np.zeros(image.shape)
    for y, x in np.ndindex(*image.shape[:2]):
        wanted = work[y, x + 1].clip(0, 255)
        shown[y, x] = palette[np.square(palette - wanted).sum(1).argmin()]
        error = wanted - shown[y, x]
        for dy, dx, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
            work[y + dy, x + 1 + dx] += error * share / 16
    return shown


class TestFitPalette:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("name", PHOTOS)
    def test_error_is_below_median_cut_and_near_kmeans(self, name, size):
        image = crop(name)
        palette = fit_palette(image, size)
        assert palette.shape == (size, 3)
        error = squared_error(image, palette)
        assert 0.3 < error / squared_error(image, pillow_palette(image, size, kmeans=0)) < 0.95
        assert 0.5 < error / squared_error(image, pillow_palette(image, size, kmeans=3)) < 1.15

    @pytest.mark.parametrize("channels", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
    def test_two_colours_are_the_best_split(self, channels):
        """All colours on a line, one for each cell of the grid: the best of all splits is known by trying them."""
        tones = np.random.default_rng(0).choice(32, 400, p=np.arange(32) / 496) * 8 + 3
        image = np.full((20, 20, 3), 77, np.uint8)
        for channel in channels:
            image[..., channel] = tones.reshape(20, 20)
        errors = [
            sum(((part - part.mean()) ** 2).sum() for part in (tones[tones < cut], tones[tones >= cut]))
            for cut in np.unique(tones)[1:]
        ]
        best = min(errors) * len(channels) / 3 / tones.size
        assert squared_error(image, fit_palette(image, 2)) == pytest.approx(best, rel=1e-9)

    def test_splits_where_the_error_falls_most(self):
        """Against a greedy splitter that tries every cut of every box on lists of pixels."""
        image = crop("coffee", 24, 24)
        parts = [image.reshape(-1, 3).astype(float)]
        for _ in range(7):
            best = (0.0, None)
            for i, axis in itertools.product(range(len(parts)), range(3)):
                cells = parts[i][:, axis] // 8
                for cut in np.unique(cells)[1:]:
                    sides = parts[i][cells < cut], parts[i][cells >= cut]
                    gain = self.spread(parts[i]) - self.spread(sides[0]) - self.spread(sides[1])
                    best = max(best, (gain, (i, sides)), key=lambda found: found[0])
            i, sides = best[1]
            parts[i : i + 1] = sides
        expected = np.array([part.mean(0) for part in parts])
        found = fit_palette(image, 8)
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], atol=1e-9)

    @staticmethod
    def spread(pixels: np.ndarray) -> float:
        return float(np.square(pixels - pixels.mean(0)).sum())

    @pytest.mark.parametrize("size", SIZES)
    def test_an_image_of_fewer_colours_keeps_them(self, size):
        colors = np.random.default_rng(1).permutation(32**3)[:7]
        colors = np.stack(np.unravel_index(colors, (32, 32, 32)), 1) * 8 + 5
        image = colors[np.arange(600).reshape(20, 30) % 7].astype(np.uint8)
        palette = fit_palette(image, size)
        assert sorted(map(tuple, palette)) == sorted(map(tuple, colors.astype(float)))

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (5, 1, 3)], ids=str)
    def test_tiny_images(self, shape):
        image = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
        palette = fit_palette(image, 64)
        assert len(palette) <= image.size / 3
        assert distances(image, palette).min(1).max() <= 3 * 7**2


class TestDither:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("name", ["coffee", "astronaut"])
    def test_means_of_blocks_agree_with_a_plain_loop(self, name, size):
        image = crop(name, 64, 64)
        palette = np.rint(fit_palette(image, size))
        dithered = palette[dither(image, palette)]
        difference = block_means(dithered) - block_means(floyd_steinberg(image, palette))
        assert np.abs(difference).max() <= 2

    def test_keeps_the_mean_where_the_nearest_colour_does_not(self):
        ramp = np.broadcast_to(np.linspace(60, 190, 96)[None, :, None], (64, 96, 3)).astype(np.uint8)
        palette = np.array([[0, 0, 0], [255, 255, 255]])
        nearest = palette[distances(ramp, palette).argmin(1)].reshape(ramp.shape)
        assert np.abs(block_means(palette[dither(ramp, palette)]) - block_means(ramp)).max() < 6
        assert np.abs(block_means(nearest) - block_means(ramp)).max() > 60

    @pytest.mark.parametrize("size", [1, 2, 8, 64, 256])
    def test_indices_are_those_of_the_palette(self, size):
        rng = np.random.default_rng(3)
        palette = rng.integers(0, 256, (size, 3))
        indices = dither(rng.integers(0, 256, (40, 50, 3), np.uint8), palette)
        assert indices.shape == (40, 50)
        assert indices.max() < size


class TestColorQuantization:
    @pytest.mark.parametrize("name", PHOTOS)
    def test_at_most_as_many_colours_as_the_level_says(self, name):
        assert ColorQuantization.values == SIZES
        image = as_tensor(crop(name)) / 255
        result = ColorQuantization()(image.expand(5, -1, -1, -1), LEVELS)
        for quantized, size in zip(result, SIZES, strict=True):
            used = quantized.flatten(1).T.unique(dim=0)
            assert 0.8 * size <= len(used) <= size
            palette = torch.from_numpy(fit_palette((image * 255).byte().permute(1, 2, 0).numpy(), size)) / 255
            assert torch.cdist(used.double(), palette).amin(1).max() < 1e-6

    @pytest.mark.parametrize("name", PHOTOS)
    def test_error_grows_with_level(self, name):
        images = (as_tensor(crop(name)) / 255).expand(5, -1, -1, -1)
        errors = (ColorQuantization()(images, LEVELS) - images).square().mean((1, 2, 3))
        assert (errors.diff() > 0).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
    def test_dithers_around_the_photo(self, dtype, device):
        """Means of blocks stay; less so at 8 colours, whose mixtures do not reach every colour of the photo."""
        photo = as_tensor(crop("coffee"))
        images = (photo if dtype == torch.uint8 else photo.to(dtype) / 255).expand(5, -1, -1, -1).to(device)
        result = ColorQuantization()(images, LEVELS)
        assert result.dtype == dtype
        assert result.device == images.device
        result = (result if dtype == torch.uint8 else result * 255).double().cpu()
        for quantized, limit in zip(result, (1.5, 1.5, 2, 3, 6), strict=True):
            difference = block_means(quantized.permute(1, 2, 0).numpy()) - block_means(photo.permute(1, 2, 0).numpy())
            assert np.abs(difference).mean() < limit

    def test_each_sample_has_its_own_palette(self):
        images = torch.stack([as_tensor(crop(name)) for name in PHOTOS])
        batch = ColorQuantization()(images, [5, 4, 5, 1])
        for image, level, quantized in zip(images, [5, 4, 5, 1], batch, strict=True):
            assert torch.equal(ColorQuantization()(image, level), quantized)

    def test_a_constant_image_stays(self):
        image = torch.tensor([10, 130, 250], dtype=torch.uint8).view(3, 1, 1).expand(3, 20, 30)
        assert torch.equal(ColorQuantization()(image, 5), image)

    def test_kadis_mode_stretches_the_palette(self):
        result = ColorQuantization("kadis")(as_tensor(crop("coffee")) / 255, 5)
        assert (result.min(), result.max()) == (0, 1)

    def test_input_is_not_modified(self):
        images = as_tensor(crop("coffee")).expand(5, -1, -1, -1) / 255
        before = images.clone()
        ColorQuantization()(images, LEVELS)
        assert torch.equal(images, before)

    def test_needs_colour(self):
        with pytest.raises(ValueError, match="color_quantization needs 3 colour channels, got 1"):
            ColorQuantization()(torch.rand(1, 40, 40), 1)
