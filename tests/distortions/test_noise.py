"""Noise by injected fields against NumPy and scikit-image, and by its statistics; the denoiser by what it achieves."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import skimage.data
import skimage.restoration
import torch
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug.distortions import _fields
from dsmix_aug.distortions._denoiser import denoise
from dsmix_aug.distortions.noise import (
    Denoise,
    ImpulseNoise,
    MultiplicativeNoise,
    PoissonGaussianNoise,
    WhiteNoise,
    WhiteNoiseColor,
)

LEVELS = [1, 2, 3, 4, 5]
WHITE = (0.001, 0.002, 0.003, 0.005, 0.01)
YCBCR = (0.0001, 0.0005, 0.001, 0.002, 0.003)
IMPULSE = (0.001, 0.005, 0.01, 0.02, 0.03)
SPECKLE = (0.001, 0.005, 0.01, 0.02, 0.05)
DENOISE = (0.01, 0.03, 0.05, 0.1, 0.15)
ALL = [WhiteNoise(), WhiteNoiseColor(), ImpulseNoise(), MultiplicativeNoise(), Denoise()]
PHOTOS = {
    "astronaut": skimage.data.astronaut()[:160, 130:290],
    "coffee": skimage.data.coffee()[120:280, 180:340],
    "cat": skimage.data.chelsea()[60:220, 120:280],
}


def photo(name: str = "cat", dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """(3, 160, 160) in [0, 1]."""
    return torch.from_numpy(PHOTOS[name].copy()).permute(2, 0, 1).to(dtype) / 255


def ids(distortion) -> str:
    return distortion.name


@pytest.fixture
def fields(monkeypatch) -> dict[str, np.ndarray]:
    """Fields of five 3x160x160 samples, from the seeds 0 to 4."""
    rng = np.random.default_rng(0)
    drawn = {"normal": rng.standard_normal((5, 3, 160, 160)), "uniform": rng.random((5, 3, 160, 160))}

    def injected(kind: str):
        return lambda seeds, shape, like: torch.from_numpy(drawn[kind][list(seeds)]).to(like.dtype).reshape(-1, *shape)

    monkeypatch.setattr(_fields, "normal_fields", injected("normal"))
    monkeypatch.setattr(_fields, "uniform_fields", injected("uniform"))
    return drawn


def distort_with_fields(distortion, images: torch.Tensor) -> np.ndarray:
    return distortion.distort(images, distortion.values, [{"seed": seed} for seed in range(5)]).numpy()


class TestInjectedFields:
    """Every type at every level, each sample at a level of its own."""

    def test_white_noise(self, fields):
        image = photo()
        result = distort_with_fields(WhiteNoise(), image.repeat(5, 1, 1, 1))
        for noisy, variance, field in zip(result, WHITE, fields["normal"], strict=True):
            np.testing.assert_allclose(noisy, np.clip(image.numpy() + np.sqrt(variance) * field, 0, 1), atol=1e-12)

    def test_white_noise_color(self, fields):
        """scikit-image's YCbCr is in studio range too, but not clamped and in units of 1/255."""
        image = photo()
        ycbcr = skimage.color.rgb2ycbcr(image.numpy(), channel_axis=0) / 255
        result = distort_with_fields(WhiteNoiseColor(), image.repeat(5, 1, 1, 1))
        for noisy, variance, field in zip(result, YCBCR, fields["normal"], strict=True):
            planes = np.clip(ycbcr + np.sqrt(variance) * field, 0, 1)
            expected = np.clip(skimage.color.ycbcr2rgb(planes * 255, channel_axis=0), 0, 1)
            np.testing.assert_allclose(noisy, expected, atol=1e-6)

    def test_white_noise_color_clamps_ycbcr(self, monkeypatch):
        """Noise of 40 standard deviations: without that clamp black would not stay below white."""
        monkeypatch.setattr(_fields, "normal_fields", lambda seeds, shape, like: torch.full((1, *shape), 40.0).to(like))
        images = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
        planes = np.clip(np.array([16, 128, 128]) / 255 + 40 * np.sqrt(0.003), 0, 1)
        expected = np.clip(skimage.color.ycbcr2rgb(planes * 255), 0, 1)
        result = WhiteNoiseColor().distort(images, WhiteNoiseColor.values[4:], [{"seed": 0}])[0, :, 0, 0].numpy()
        np.testing.assert_allclose(result, expected, atol=1e-6)

    def test_impulse_noise(self, fields):
        image = photo()
        result = distort_with_fields(ImpulseNoise(), image.repeat(5, 1, 1, 1))
        for noisy, density, field in zip(result, IMPULSE, fields["uniform"], strict=True):
            expected = image.numpy().copy()
            for index, u in np.ndenumerate(field):
                if u < density:
                    expected[index] = 0 if u < density / 2 else 1
            np.testing.assert_array_equal(noisy, expected)

    def test_multiplicative_noise(self, fields):
        image = photo()
        result = distort_with_fields(MultiplicativeNoise(), image.repeat(5, 1, 1, 1))
        for noisy, variance, field in zip(result, SPECKLE, fields["uniform"], strict=True):
            n = np.sqrt(3 * variance) * (2 * field - 1)
            np.testing.assert_allclose(noisy, np.clip(image.numpy() * (1 + n), 0, 1), atol=1e-12)

    def test_denoise(self, fields):
        image = photo()
        result = distort_with_fields(Denoise(), image.repeat(5, 1, 1, 1))
        for cleaned, variance, field in zip(result, DENOISE, fields["normal"], strict=True):
            noisy = np.clip(image.numpy() + np.sqrt(variance) * field, 0, 1)
            for channel, expected in zip(cleaned, noisy, strict=True):
                np.testing.assert_allclose(channel, reference_denoiser(expected, np.sqrt(variance)), atol=1e-10)

    @pytest.mark.parametrize("distortion", ALL, ids=ids)
    def test_single_precision(self, fields, distortion):
        single = distort_with_fields(distortion, photo(dtype=torch.float32).repeat(5, 1, 1, 1))
        double = distort_with_fields(distortion, photo().repeat(5, 1, 1, 1))
        assert single.dtype == np.float32
        if distortion.name == "impulse_noise":  # the same specks; a field value on a threshold may fall on either side
            assert (np.abs(single - double) > 1e-6).mean() < 1e-4
        else:
            np.testing.assert_allclose(single, double, atol=1e-5)

    @pytest.mark.parametrize("distortion", [d for d in ALL if not d.needs_color], ids=ids)
    def test_gray_is_one_channel_of_color(self, fields, distortion):
        color = distort_with_fields(distortion, photo().repeat(5, 1, 1, 1))
        for kind in fields:
            fields[kind] = fields[kind][:, 1:2]
        gray = distort_with_fields(distortion, photo()[1:2].repeat(5, 1, 1, 1))
        np.testing.assert_array_equal(gray, color[:, 1:2])


def reference_denoiser(channel: np.ndarray, sigma: float) -> np.ndarray:
    """Local Wiener shrinkage of undecimated Haar details, written down per 2x2 block on a mirrored image."""
    margin = 32
    smooth = np.pad(channel, margin, mode="symmetric")
    scales = []
    for scale, window in enumerate((8, 4, 4)):
        step = 2**scale
        right, below = np.roll(smooth, -step, 1), np.roll(smooth, -step, 0)
        corner = np.roll(right, -step, 0)
        details = [(smooth + right - below - corner) / 4, (smooth - right + below - corner) / 4]
        details.append((smooth - right - below + corner) / 4)
        variance = sigma**2 / 4 ** (scale + 1)
        for k, detail in enumerate(details):
            energy = scipy.ndimage.uniform_filter(detail**2, window, origin=-1 if window % 2 else 0)
            energy = np.roll(
                energy, -1, (0, 1)
            )  # SciPy's even windows reach one further to the left, ours to the right
            details[k] = detail * np.maximum(0, 1 - 1.5 * variance / np.maximum(energy, 1e-300))
        scales.append(details)
        smooth = (smooth + right + below + corner) / 4
    for scale, (d1, d2, d3) in reversed(list(enumerate(scales))):
        step = 2**scale
        parts = [smooth + d1 + d2 + d3, smooth + d1 - d2 - d3, smooth - d1 + d2 - d3, smooth - d1 - d2 + d3]
        places = [(0, 0), (0, step), (step, 0), (step, step)]  # each is known from four blocks
        smooth = sum(np.roll(part, place, (0, 1)) for part, place in zip(parts, places, strict=True)) / 4
    return smooth[margin:-margin, margin:-margin]


class TestStatistics:
    SEEDS = 24

    def noise_on(self, distortion, value: float, level: int) -> np.ndarray:
        """(3, SEEDS, 100, 100): what is added to a constant gray."""
        gray = torch.full((self.SEEDS, 3, 100, 100), value, dtype=torch.float64)
        return (distortion(gray, level) - gray).transpose(0, 1).numpy()

    @pytest.mark.parametrize("level", LEVELS)
    def test_white_noise(self, level):
        variance = WHITE[level - 1]
        noise = self.noise_on(WhiteNoise(), 0.5, level)
        assert abs(noise.mean()) < 4 * np.sqrt(variance / noise.size)
        assert noise.var() == pytest.approx(variance, rel=0.02)
        assert stats.kurtosis(noise.ravel()) == pytest.approx(0, abs=0.05)
        assert np.abs(np.corrcoef(noise.reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.01
        assert abs(np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1]) < 0.01

    @pytest.mark.parametrize("level", LEVELS)
    def test_white_noise_color(self, level):
        """In full range YCbCr the variance would be a quarter smaller."""
        variance = YCBCR[level - 1]
        noise = self.noise_on(WhiteNoiseColor(), 0.5, level)
        gains = np.array([[255 / 219, 0, 1.596], [255 / 219, -0.392, -0.813], [255 / 219, 2.017, 0]])
        covariance = variance * gains @ gains.T
        np.testing.assert_allclose(np.cov(noise.reshape(3, -1)), covariance, atol=0.03 * covariance.max(), rtol=0.03)

    @pytest.mark.parametrize("level", LEVELS)
    def test_impulse_noise(self, level):
        density = IMPULSE[level - 1]
        noise = self.noise_on(ImpulseNoise(), 0.4, level)
        for value in (-0.4, 0.6):
            hits = np.isclose(noise, value).sum()
            assert abs(hits - noise.size * density / 2) < 4 * np.sqrt(noise.size * density / 2)
        hit = noise != 0
        assert np.isclose(noise[hit], -0.4).sum() + np.isclose(noise[hit], 0.6).sum() == hit.sum()
        together = (hit[0] & hit[1]).mean()
        assert abs(together - density**2) < 5 * density / np.sqrt(hit[0].size), "channels are hit independently"

    def test_impulse_noise_has_no_fixed_count(self):
        gray = torch.full((400, 1, 40, 50), 0.5)
        counts = (ImpulseNoise()(gray, 5) != 0.5).sum((1, 2, 3)).double()
        assert counts.var() == pytest.approx(2000 * 0.03 * 0.97, rel=0.3)

    @pytest.mark.parametrize("level", LEVELS)
    def test_multiplicative_noise(self, level):
        """Uniform as in MATLAB's speckle: a normal distribution would have excess kurtosis 0 and no bounds."""
        variance = SPECKLE[level - 1]
        factor = self.noise_on(MultiplicativeNoise(), 0.4, level) / 0.4
        assert np.abs(factor).max() <= np.sqrt(3 * variance) * (1 + 1e-9)
        assert np.abs(factor).max() > 0.99 * np.sqrt(3 * variance)
        assert factor.var() == pytest.approx(variance, rel=0.02)
        assert abs(factor.mean()) < 4 * np.sqrt(variance / factor.size)
        assert stats.kurtosis(factor.ravel()) == pytest.approx(-1.2, abs=0.02)
        assert np.abs(np.corrcoef(factor.reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.01

    def test_multiplicative_noise_leaves_black_alone(self):
        assert not self.noise_on(MultiplicativeNoise(), 0.0, 5).any()


class TestPoissonGaussianNoise:
    SHOT = (0.0008, 0.0015, 0.003, 0.006, 0.012)

    def linear_noise(self, light: float, level: int) -> np.ndarray:
        """What is left of a constant linear light, in linear light: 24 images of 3x100x100."""
        gray = torch.full((24, 3, 100, 100), max(1.055 * light ** (1 / 2.4) - 0.055, 0), dtype=torch.float64)
        noisy = PoissonGaussianNoise()(gray, level).numpy()
        return np.where(noisy <= 0.04045, noisy / 12.92, ((noisy + 0.055) / 1.055) ** 2.4)

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("light", [0.2, 0.5])
    def test_mean_and_variance_in_linear_light(self, light, level):
        shot = self.SHOT[level - 1]
        variance = shot * light + np.exp(2.18 * np.log(shot) + 1.20)
        noisy = self.linear_noise(light, level)
        assert noisy.mean() == pytest.approx(light, abs=5 * np.sqrt(variance / noisy.size))
        assert noisy.var() == pytest.approx(variance, rel=0.02)
        assert np.abs(np.corrcoef(noisy.transpose(1, 0, 2, 3).reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.01

    @pytest.mark.parametrize("level", LEVELS)
    def test_photons_are_poisson(self, level):
        """A Poisson count is skewed, which a normal distribution of the same variance is not."""
        shot, light = self.SHOT[level - 1], 0.4
        read = np.exp(2.18 * np.log(shot) + 1.20)
        skewness = stats.poisson(light / shot).stats("s") * (shot * light / (shot * light + read)) ** 1.5
        assert stats.skew(self.linear_noise(light, level).ravel()) == pytest.approx(skewness, abs=0.02)

    def test_black_has_the_noise_of_readout_only(self):
        noisy = self.linear_noise(0.0, 5)
        read = np.exp(2.18 * np.log(0.012) + 1.20)
        assert (noisy[noisy > 0] ** 2).mean() == pytest.approx(read, rel=0.03)  # half of it is clamped away

    def test_sample_depends_on_its_own_seed_only(self):
        images = torch.stack([photo(name, torch.float32) for name in ("cat", "coffee", "cat")])
        draws = [{"seed": seed} for seed in (3, 4, 3)]
        batch = PoissonGaussianNoise().distort_batch(images, [2, 5, 2], draws)
        assert torch.equal(batch[0], batch[2])
        assert torch.equal(PoissonGaussianNoise().distort_batch(images[1:2], [5], draws[1:2])[0], batch[1])

    def test_severity_grows_with_level(self):
        for name in PHOTOS:
            images = photo(name).repeat(5, 1, 1, 1)
            errors = (PoissonGaussianNoise()(images, LEVELS) - images).square().mean((1, 2, 3))
            assert (errors.diff() > 0.1 * errors[:-1]).all(), (name, errors)


class TestDenoiser:
    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("name", PHOTOS)
    def test_as_good_as_total_variation(self, name, level):
        """Total variation gets the best of several weights, chosen by the clean photo; ours knows only sigma."""
        sigma = DENOISE[level - 1] ** 0.5
        clean = photo(name).numpy()
        noisy = np.clip(clean + sigma * np.random.default_rng(level).standard_normal(clean.shape), 0, 1)
        ours = denoise(torch.from_numpy(noisy)[None], torch.full((1, 1, 1, 1), sigma))[0].numpy()
        theirs = max(
            psnr(clean, skimage.restoration.denoise_tv_chambolle(noisy, weight * sigma, channel_axis=0))
            for weight in (0.5, 0.7, 0.9, 1.1, 1.4)
        )
        assert psnr(clean, ours) > theirs - 0.2
        assert psnr(clean, ours) > psnr(clean, noisy) + 4

    @pytest.mark.parametrize("level", LEVELS)
    def test_flat_regions_come_out_smooth_but_blotchy(self, level):
        sigma = DENOISE[level - 1] ** 0.5
        left = Denoise()(torch.full((4, 3, 96, 96), 0.5, dtype=torch.float64), level) - 0.5
        assert 0.03 * sigma < left.std() < 0.15 * sigma
        neighbours = np.corrcoef(left[..., 1:].ravel(), left[..., :-1].ravel())[0, 1]
        assert neighbours > 0.8, "what is left is coarse, not a grain"

    def test_without_noise_little_is_lost(self):
        image = photo()[None]
        cleaned = denoise(image, torch.full((1, 1, 1, 1), 1e-3, dtype=torch.float64))
        assert psnr(image.numpy(), cleaned.numpy()) > 55

    @pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 7), (9, 9), (10, 200), (33, 47)])
    def test_any_size(self, size):
        image = torch.rand(1, 1, *size, dtype=torch.float64)
        cleaned = denoise(image, torch.full((1, 1, 1, 1), 0.2, dtype=torch.float64))
        np.testing.assert_allclose(cleaned[0, 0], reference_denoiser(image[0, 0].numpy(), 0.2), atol=1e-10)

    def test_flipped_image_gives_flipped_result_almost(self):
        """The windows of even size are half a pixel off centre, nothing else prefers a side."""
        image = photo()[None]
        sigma = torch.full((1, 1, 1, 1), 0.1, dtype=torch.float64)
        flipped = denoise(image.flip(-1, -2), sigma).flip(-1, -2)
        assert (denoise(image, sigma) - flipped).abs().mean() < 2e-3


def psnr(clean: np.ndarray, image: np.ndarray) -> float:
    return -10 * np.log10(np.mean((clean - image) ** 2))


@pytest.mark.parametrize("distortion", ALL, ids=ids)
class TestAll:
    def test_draws_one_seed(self, distortion):
        draws = [distortion.draw(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        assert [set(draw) for draw in draws] == [{"seed"}] * 3
        assert draws[0] == draws[1] != draws[2]

    def test_sample_depends_on_its_own_seed_alone(self, distortion):
        images = torch.stack([photo(name, torch.float32) for name in ("cat", "coffee", "cat", "cat")])
        draws = [{"seed": seed} for seed in (3, 4, 3, 5)]
        batch = distortion.distort_batch(images, [2, 5, 2, 2], draws)
        assert torch.equal(batch[0], batch[2])
        assert not torch.equal(batch[0], batch[3])
        for i, level in enumerate([2, 5, 2, 2]):
            assert torch.equal(distortion.distort_batch(images[i : i + 1], [level], draws[i : i + 1])[0], batch[i])

    def test_input_is_not_modified(self, distortion):
        images = photo(dtype=torch.float32).repeat(5, 1, 1, 1)
        before = images.clone()
        distortion(images, LEVELS)
        assert torch.equal(images, before)

    def test_severity_grows_with_level(self, distortion):
        for name in PHOTOS:
            images = photo(name).repeat(5, 1, 1, 1)
            errors = (distortion(images, LEVELS) - images).square().mean((1, 2, 3))
            assert (errors.diff() > 0.1 * errors[:-1]).all(), (name, errors)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.fake_cuda
    def test_stays_on_cuda(self, distortion, dtype, monkeypatch):
        for kind in ("normal_fields", "uniform_fields"):  # no CUDA generator can be made without CUDA
            monkeypatch.setattr(_fields, kind, lambda seeds, shape, like: like.new_empty((len(seeds), *shape)))
        with FakeTensorMode(allow_non_fake_inputs=False):
            images = torch.empty(5, 3, 33, 47, dtype=dtype, device="cuda")
            result = distortion.distort(images, distortion.values, [{"seed": 0}] * 5)
        assert (result.device.type, result.shape, result.dtype) == ("cuda", images.shape, dtype)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    def test_sample_depends_on_its_own_seed_alone_on_cuda(self, distortion):
        images = photo(dtype=torch.float32).repeat(3, 1, 1, 1).cuda()
        draws = [{"seed": seed} for seed in (3, 4, 3)]
        batch = distortion.distort_batch(images, [2, 5, 2], draws)
        assert torch.equal(batch[0], batch[2])
        assert torch.equal(distortion.distort_batch(images[:1], [2], draws[:1])[0], batch[0])


def test_color_noise_needs_color():
    with pytest.raises(ValueError, match="white_noise_color needs 3 colour channels, got 1"):
        WhiteNoiseColor()(torch.rand(1, 32, 32), 3)
