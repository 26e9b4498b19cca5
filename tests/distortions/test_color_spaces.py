"""Colour conversions against scikit-image, published values and a NumPy implementation of the definitions."""

import color_oracles
import numpy as np
import pytest
import skimage.color
import skimage.data
import torch

from dsmix_aug.distortions._color_spaces import lab_to_rgb, rgb_to_lab, rgb_to_ycbcr, ycbcr_to_rgb

#: Errors of L*a*b* and of RGB: rounding, in float64 the step of 2e-9 that the standard's constants leave at the knee.
TOLERANCES = {torch.float32: (2e-4, 2e-5), torch.float64: (5e-6, 1e-7)}
dtypes = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def photos(dtype: torch.dtype, device: str = "cpu") -> torch.Tensor:
    """Two photos, one of them dark, so that both sides of every knee are met: (2, 3, 90, 130)."""
    crops = np.stack([skimage.data.coffee()[:90, 200:330], skimage.data.astronaut()[:90, 200:330] // 12])
    return (torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous().to(dtype) / 255).to(device)


def wide_lab(dtype: torch.dtype, device: str = "cpu") -> torch.Tensor:
    """L*a*b* of a photo with the chroma multiplied by up to 12: mostly out of the gamut of sRGB."""
    lab = color_oracles.rgb_to_lab(photos(torch.float64).numpy())
    wide = np.concatenate([lab * [[[1]], [[factor]], [[factor]]] for factor in (2, 6, 12)])
    return torch.from_numpy(wide).to(device, dtype)


@dtypes
def test_rgb_to_lab_follows_the_definition(dtype, device):
    images = photos(dtype, device)
    lab = rgb_to_lab(images)
    assert lab.dtype == dtype
    assert lab.device == images.device
    expected = color_oracles.rgb_to_lab(images.cpu().numpy())
    np.testing.assert_allclose(lab.cpu().numpy(), expected, atol=TOLERANCES[dtype][0], rtol=0)


def test_rgb_to_lab_agrees_with_skimage():
    images = photos(torch.float64)
    expected = skimage.color.rgb2lab(images.numpy(), channel_axis=1)
    # The white points differ in the fifth digit.
    np.testing.assert_allclose(rgb_to_lab(images).numpy(), expected, atol=7e-3, rtol=0)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
    ],
)
def test_lab_of_the_primaries_is_as_published(rgb, lab):
    images = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    np.testing.assert_allclose(rgb_to_lab(images).flatten().numpy(), lab, atol=0.02)


@dtypes
def test_greys_have_no_chroma(dtype):
    greys = torch.linspace(0, 1, 101, dtype=dtype).view(1, 1, 1, -1).repeat(1, 3, 1, 1)
    assert rgb_to_lab(greys)[:, 1:].abs().max() < TOLERANCES[dtype][0]


@dtypes
def test_lab_to_rgb_follows_the_definition_in_and_out_of_gamut(dtype, device):
    lab = wide_lab(dtype, device)
    expected = color_oracles.lab_to_rgb(lab.double().cpu().numpy())
    assert expected.min() < -1
    assert expected.max() > 1.5
    result = lab_to_rgb(lab).cpu().numpy()
    np.testing.assert_allclose(result, expected, atol=20 * TOLERANCES[dtype][1], rtol=1e-5)


def test_lab_to_rgb_does_not_clamp_fz():
    lab = wide_lab(torch.float64)
    clamped = color_oracles.lab_to_rgb(lab.numpy(), clamp_fz=True)
    with pytest.warns(UserWarning, match="negative Z values"):
        by_skimage = skimage.color.lab2rgb(lab.numpy(), channel_axis=1)
    np.testing.assert_allclose(clamped.clip(0, 1), by_skimage, atol=5e-3)  # so that is the clamp they make
    assert np.abs(lab_to_rgb(lab).clamp(0, 1).numpy() - clamped.clip(0, 1)).max() > 0.3


@dtypes
def test_lab_round_trip(dtype):
    images = photos(dtype)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(images)), images, atol=TOLERANCES[dtype][1], rtol=0)


@dtypes
def test_rgb_to_ycbcr_agrees_with_skimage(dtype, device):
    images = photos(dtype, device)
    expected = skimage.color.rgb2ycbcr(images.cpu().numpy(), channel_axis=1) / 255
    np.testing.assert_allclose(rgb_to_ycbcr(images).cpu().numpy(), expected, atol=1e-6, rtol=0)


def test_rgb_to_ycbcr_is_studio_range():
    color = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64).view(1, 3, 1, 1)
    # From GNU Octave's rgb2ycbcr; full range would give 0.363, 0.634, 0.384.
    np.testing.assert_allclose(rgb_to_ycbcr(color).flatten(), [0.374498, 0.619449, 0.399832], atol=1e-6)


@dtypes
def test_ycbcr_to_rgb_is_the_inverse(dtype, device):
    images = photos(dtype, device)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(images)), images, atol=1e-6, rtol=0)


def test_ycbcr_to_rgb_is_not_clamped():
    extremes = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]], dtype=torch.float64).view(2, 3, 1, 1)
    grey = (255 * torch.tensor([0.0, 1.0], dtype=torch.float64) - 16) / 219
    torch.testing.assert_close(ycbcr_to_rgb(extremes)[:, 1, 0, 0], grey, atol=5e-3, rtol=0)


@pytest.mark.parametrize("convert", [rgb_to_lab, lab_to_rgb, rgb_to_ycbcr, ycbcr_to_rgb])
def test_conversions_leave_their_input_and_treat_samples_alike(convert):
    images = photos(torch.float32)
    before = images.clone()
    converted = convert(images)
    assert torch.equal(images, before)
    assert torch.equal(convert(images[1:]), converted[1:])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_conversions_of_tiny_images(size):
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    np.testing.assert_allclose(rgb_to_lab(images), color_oracles.rgb_to_lab(images.numpy()), atol=1e-6)


def test_conversions_ignore_autocast_and_reduced_matmul_precision():
    images = photos(torch.float32)
    expected = rgb_to_lab(images)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(rgb_to_lab(images), expected)
    finally:
        torch.set_float32_matmul_precision(precision)
