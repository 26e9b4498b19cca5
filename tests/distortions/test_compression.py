"""The codecs against Pillow, chroma subsampling against OpenCV and NumPy."""

import io
import struct

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from dsmix_aug import DistortionBank
from dsmix_aug.distortions._jpeg import CHROMA_TABLE, LUMA_TABLE, compress_jpeg, quantization_table
from dsmix_aug.distortions.compression import (
    Avif,
    ChromaSubsampling,
    Jpeg,
    Jpeg2000,
    WebP,
    _decode,
    encode_jpeg,
    encode_jpeg2000,
)

QUALITIES = (43, 36, 24, 7, 4)
RATIOS = (16, 32, 45, 120, 400)
#: Multiples of 16, of 8, odd, wider than high, and so narrow that libjpeg upsamples in another way.
SIZES = [(224, 224), (72, 104), (33, 47), (17, 5), (9, 130), (23, 18), (41, 3), (3, 4), (1, 1)]
PHOTOS = {
    "astronaut": skimage.data.astronaut()[:224, 100:324],
    "coffee": skimage.data.coffee()[100:324, 150:374],
    "cat": skimage.data.chelsea()[50:274, 100:324],
}


def crop(height: int, width: int, channels: int = 3, photo: str = "cat") -> np.ndarray:
    return np.ascontiguousarray(PHOTOS[photo][:height, :width, :channels].squeeze(-1 if channels == 1 else ()))


def to_images(pixels: np.ndarray, copies: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    planes = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
    return planes.to(dtype).div(255).expand(copies, -1, -1, -1)


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """(N, C, H, W) in [0, 1] -> (N, H, W, C) in 0 ... 255."""
    scaled = images.double().mul(255)
    torch.testing.assert_close(scaled, scaled.round(), rtol=0, atol=1e-4)  # a codec's result has 8 bits
    return scaled.round().permute(0, 2, 3, 1).numpy()


def through_pillow(pixels: np.ndarray, kind: str, **options) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return np.asarray(Image.open(file)).reshape(*pixels.shape[:2], -1).astype(float)


def pillow_jpeg(pixels: np.ndarray, level: int) -> np.ndarray:
    return through_pillow(pixels, "JPEG", quality=QUALITIES[level - 1], subsampling=2)


def pillow_jpeg2000(pixels: np.ndarray, level: int) -> np.ndarray:
    options = {"quality_mode": "rates", "quality_layers": [RATIOS[level - 1]], "irreversible": True}
    return through_pillow(pixels, "JPEG2000", mct=int(pixels.ndim == 3), **options)


DISTORTIONS = [(Jpeg(), pillow_jpeg), (Jpeg2000(), pillow_jpeg2000)]


@pytest.mark.parametrize(("distortion", "pillow"), DISTORTIONS)
class TestBoth:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", SIZES)
    def test_equals_pillow_at_every_level(self, distortion, pillow, size, channels):
        pixels = crop(*size, channels)
        result = to_pixels(distortion(to_images(pixels, 5), [1, 2, 3, 4, 5]))
        for level, image in enumerate(result, 1):
            np.testing.assert_array_equal(image, pillow(pixels, level), err_msg=f"level {level}")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_rounds_to_eight_bits_first(self, distortion, pillow, dtype):
        """Flooring, harmless for pixels that come from a file, shifts all others by half a level."""
        pixels = crop(48, 64)
        between = to_images(pixels, dtype=dtype) + (torch.randint(2, (3, 48, 64)) - 0.5) * 0.8 / 255
        result = distortion(between.clamp(0, 1), 2)
        assert result.dtype == dtype
        np.testing.assert_array_equal(to_pixels(result)[0], pillow(pixels, 2))

    def test_every_sample_has_its_own_level(self, distortion, pillow):
        levels = [4, 1, 1, 5, 3]
        batch = torch.cat([to_images(crop(64, 96, photo=name)) for name in ("cat", "coffee", "cat", "cat", "coffee")])
        result = to_pixels(distortion(batch, levels))
        for pixels, level, image in zip(to_pixels(batch).astype(np.uint8), levels, result, strict=True):
            np.testing.assert_array_equal(image, pillow(pixels, level))

    def test_bytes_in_bytes_out(self, distortion, pillow):
        pixels = crop(50, 40)
        result = distortion(torch.from_numpy(pixels).permute(2, 0, 1), 3)
        assert result.dtype == torch.uint8
        np.testing.assert_array_equal(result.permute(1, 2, 0).numpy(), pillow(pixels, 3))

    def test_input_is_not_modified(self, distortion, pillow):
        images = to_images(crop(48, 48), 2).contiguous()
        before = images.clone()
        distortion(images, 4)
        assert torch.equal(images, before)

    @pytest.mark.parametrize("photo", PHOTOS)
    def test_severity_grows_with_level(self, distortion, pillow, photo):
        images = to_images(PHOTOS[photo], 5)
        errors = (distortion(images, [1, 2, 3, 4, 5]) - images).square().mean((1, 2, 3))
        assert (errors.diff() > 0.05 * errors[:-1]).all(), errors


class TestJpeg2000:
    @pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize("photo", ["astronaut", "coffee"])
    def test_files_have_the_bytes_that_the_ratio_allows(self, level, photo):
        """36,864, 18,432, 13,107, 4,915 and 1,475 bytes at 512x384: a ratio of 170 instead of 400 would give 3,469."""
        pixels = getattr(skimage.data, photo)()[:384, :512]
        size = len(encode_jpeg2000(pixels.transpose(2, 0, 1), Jpeg2000.values[level - 1]))
        assert size == pytest.approx(pixels.size / RATIOS[level - 1], rel=0.01)

    @pytest.mark.parametrize("photo", PHOTOS)
    def test_crops_meet_the_ratio_too(self, photo):
        sizes = [len(encode_jpeg2000(PHOTOS[photo].transpose(2, 0, 1), ratio)) for ratio in RATIOS]
        np.testing.assert_allclose(sizes, PHOTOS[photo].size / np.array(RATIOS), rtol=0.08)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_coding_style(self, channels):
        """The header of the codestream says what the encoder did (ISO/IEC 15444-1, annex A)."""
        file = encode_jpeg2000(crop(224, 224, 3).transpose(2, 0, 1)[:channels], 45)
        start = file.index(b"\xff\x52")  # coding style default
        progression, layers, color_transform = struct.unpack_from(">BHB", file, start + 5)
        wavelet = file[start + 13]
        assert (progression, layers) == (0, 1), "LRCP with one quality layer"
        assert color_transform == (channels == 3)
        assert wavelet == 0, "9/7 irreversible; 1 is the reversible 5/3"
        size = file.index(b"\xff\x51")
        width, height, x, y, tile_width, tile_height = struct.unpack_from(">6I", file, size + 6)
        assert (width, height, x, y, tile_width, tile_height) == (224, 224, 0, 0, 224, 224), "one tile"

    @pytest.mark.parametrize("photo", PHOTOS)
    def test_beats_the_reversible_wavelet(self, photo):
        pixels = PHOTOS[photo]
        ours = to_pixels(Jpeg2000()(to_images(pixels, 5), [1, 2, 3, 4, 5]))
        for ratio, image in zip(RATIOS, ours, strict=True):
            reversible = through_pillow(pixels, "JPEG2000", quality_mode="rates", quality_layers=[ratio])
            assert np.mean((image - pixels) ** 2) < np.mean((reversible - pixels) ** 2)


class TestJpegOnTensors:
    """The path of CUDA tensors, which runs on the CPU as well."""

    @pytest.mark.parametrize("photo", PHOTOS)
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", SIZES)
    def test_equals_libjpeg_at_every_level(self, size, channels, photo):
        pixels = crop(*size, channels, photo)
        result = to_pixels(compress_jpeg(to_images(pixels, 5), QUALITIES))
        for level, image in enumerate(result, 1):
            np.testing.assert_array_equal(image, pillow_jpeg(pixels, level), err_msg=f"level {level}")

    @pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 5)])
    def test_equals_libjpeg_on_saturated_colors(self, block):
        """Clamping, in the planes and in RGB, chroma edges everywhere, and coefficients on rounding ties."""
        corners = np.random.default_rng(0).integers(0, 2, (48 // block[0] + 1, 50 // block[1] + 1, 3))
        pixels = np.kron(corners, np.ones((*block, 1))).astype(np.uint8) * 255
        result = to_pixels(compress_jpeg(to_images(pixels, 5), QUALITIES))
        for level, image in enumerate(result, 1):
            np.testing.assert_array_equal(image, pillow_jpeg(pixels, level), err_msg=f"level {level}")

    @pytest.mark.parametrize("quality", [1, 4, 7, 24, 36, 43, 50, 75, 90, 100])
    def test_tables_are_those_in_a_file(self, quality):
        file = io.BytesIO(encode_jpeg(crop(16, 16).transpose(2, 0, 1), quality))
        written = Image.open(file).quantization
        for number, base in enumerate((LUMA_TABLE, CHROMA_TABLE)):
            assert list(written[number]) == np.ravel(quantization_table(base, quality)).tolist()

    def test_autocast_and_reduced_precision_do_not_touch_it(self):
        images = to_images(crop(40, 56), 2)
        expected = compress_jpeg(images, (43, 4))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(compress_jpeg(images, (43, 4)), expected)

    def test_sample_does_not_depend_on_its_batch(self):
        images = torch.cat([to_images(crop(40, 56, photo=photo)) for photo in PHOTOS])
        batch = compress_jpeg(images, (43, 4, 24))
        for image, quality, result in zip(images, (43, 4, 24), batch, strict=True):
            assert torch.equal(compress_jpeg(image[None], [quality])[0], result)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("shape", [(5, 3, 33, 47), (5, 1, 16, 16), (5, 3, 2, 3)])
    @pytest.mark.fake_cuda
    def test_stays_on_cuda(self, shape, dtype):
        with FakeTensorMode(allow_non_fake_inputs=False):
            images = torch.empty(shape, dtype=dtype, device="cuda")
            result = Jpeg().distort(images, Jpeg.values, [{}] * 5)
        assert (result.device.type, result.shape, result.dtype) == ("cuda", images.shape, dtype)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    def test_cuda_equals_cpu(self):
        images = to_images(crop(72, 104), 5)
        result = compress_jpeg(images.cuda(), QUALITIES).cpu()
        assert torch.equal(result, compress_jpeg(images, QUALITIES))


def test_file_that_cannot_be_decoded():
    with pytest.raises(RuntimeError, match="a build with JPEG and JPEG 2000"):
        _decode(b"no image")


def pillow_webp(pixels: np.ndarray, level: int) -> np.ndarray:
    return through_pillow(pixels, "WEBP", quality=(50, 30, 15, 5, 0)[level - 1], method=4)


def pillow_avif(pixels: np.ndarray, level: int) -> np.ndarray:
    return through_pillow(pixels, "AVIF", quality=(50, 35, 25, 12, 0)[level - 1], speed=8)


class TestPillowCodecs:
    CODECS = ((WebP, pillow_webp), (Avif, pillow_avif))
    codecs = pytest.mark.parametrize(("codec", "oracle"), CODECS, ids=["webp", "avif"])

    @codecs
    @pytest.mark.parametrize("size", [(64, 80), (33, 47), (3, 4), (1, 1)], ids=str)
    @pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
    def test_pixels_are_pillows(self, codec, oracle, level, size):
        pixels = crop(*size)
        np.testing.assert_array_equal(to_pixels(codec()(to_images(pixels), level))[0], oracle(pixels, level))

    @codecs
    def test_gray_is_the_gray_image_file(self, codec, oracle):
        pixels = crop(64, 80, channels=1)
        expected = oracle(pixels, 3)[..., :1]  # WebP knows colour only: Pillow reads three equal channels
        np.testing.assert_array_equal(to_pixels(codec()(to_images(pixels), 3))[0], expected)

    @pytest.mark.parametrize("level", [1, 2, 3, 4])
    def test_webp_is_opencvs_too(self, level):
        """OpenCV brings a libwebp of its own, so its pixels may differ a little; it knows no quality 0."""
        pixels = crop(64, 80)
        quality = (50, 30, 15, 5)[level - 1]
        file = cv2.imencode(".webp", pixels[..., ::-1], (cv2.IMWRITE_WEBP_QUALITY, quality))[1]
        expected = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
        ours = to_pixels(WebP()(to_images(pixels), level))[0]
        assert np.abs(ours - expected).mean() < 0.5

    @codecs
    def test_severity_grows_with_level(self, codec, oracle):
        for pixels in PHOTOS.values():
            images = to_images(np.ascontiguousarray(pixels), copies=5)
            errors = (codec()(images, [1, 2, 3, 4, 5]) - images).square().mean((1, 2, 3))
            assert (errors.diff() > 0).all()

    @codecs
    def test_without_the_codec_the_bank_is_refused(self, codec, oracle, monkeypatch):
        monkeypatch.delitem(Image.SAVE, codec.format)
        with pytest.raises(RuntimeError, match=f"{codec.name}: Pillow .* was built without {codec.format}"):
            DistortionBank(["jpeg", codec.name])


class TestChromaSubsampling:
    SIDES = (2, 4, 8, 16, 32)

    @pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
    def test_agrees_with_opencv(self, level):
        side = self.SIDES[level - 1]
        image = crop(64, 96).astype(np.float32) / 255
        ycrcb = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        small = cv2.resize(ycrcb, (96 // side, 64 // side), interpolation=cv2.INTER_AREA)
        ycrcb[..., 1:] = cv2.resize(small, (96, 64), interpolation=cv2.INTER_NEAREST)[..., 1:]
        expected = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB).clip(0, 1)
        ours = ChromaSubsampling()(torch.from_numpy(image).permute(2, 0, 1), level).permute(1, 2, 0)
        np.testing.assert_allclose(ours.numpy(), expected, atol=2e-3)  # OpenCV's coefficients have three decimals

    @pytest.mark.parametrize("size", [(33, 47), (5, 70), (1, 1)], ids=str)
    def test_blocks_at_the_border_are_means_of_what_they_have(self, size):
        image = crop(*size) / 255
        luma = image @ [0.299, 0.587, 0.114]
        expected = np.empty_like(image)
        for top in range(0, size[0], 8):
            for left in range(0, size[1], 8):
                block = slice(top, top + 8), slice(left, left + 8)
                # Equal Cb and Cr mean an equal difference of each channel to the brightness.
                expected[block] = luma[block][..., None] + (image[block] - luma[block][..., None]).mean((0, 1))
        ours = ChromaSubsampling()(to_images(crop(*size), dtype=torch.float64), 3)[0].permute(1, 2, 0)
        np.testing.assert_allclose(ours.numpy(), expected.clip(0, 1), atol=2e-5)

    def test_levels_of_a_batch_are_independent(self):
        images = to_images(crop(40, 50), copies=3)
        batch = ChromaSubsampling()(images, [5, 1, 5])
        assert torch.equal(batch[0], batch[2])
        assert torch.equal(batch[1], ChromaSubsampling()(images[1], 1))
