"""HaarPSI against its definition, written out with SciPy, and against values of another implementation."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.color import rgb2yiq

from dsmix_aug.nriqa.datasets.haarpsi import haarpsi


def oracle(image, reference):
    """HaarPSI of two (3, H, W) uint8 images of even size, as the authors' code has it, in double precision."""
    ours, theirs = ([halve(channel) for channel in np.moveaxis(to_yiq(pixels), -1, 0)] for pixels in (image, reference))
    similarities, weights = [], []
    for turn in (False, True):
        first, second = ([haar(channels[0], 2**scale, turn) for scale in (1, 2, 3)] for channels in (ours, theirs))
        similarities.append((similarity(first[0], second[0]) + similarity(first[1], second[1])) / 2)
        weights.append(np.maximum(first[2], second[2]))
    first, second = ([np.abs(smooth(channel)) for channel in channels[1:]] for channels in (ours, theirs))
    similarities.append((similarity(first[0], second[0]) + similarity(first[1], second[1])) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    values = 1 / (1 + np.exp(-4.2 * np.array(similarities)))
    mean = (values * weights).sum() / np.sum(weights)
    return (np.log(mean / (1 - mean)) / 4.2) ** 2


def to_yiq(pixels):
    return rgb2yiq(pixels.permute(1, 2, 0).numpy().astype(float) / 255) * 255


def halve(channel):
    return channel.reshape(len(channel) // 2, 2, -1, 2).mean((1, 3))


def haar(channel, side, turn):
    kernel = np.full((side, side), 1 / side)
    kernel[: side // 2] *= -1
    return np.abs(convolve(channel, kernel.T if turn else kernel))


def convolve(channel, kernel):
    """MATLAB's conv2(..., "same"), whose middle of an even kernel is the other one than SciPy's."""
    start = len(kernel) // 2
    return convolve2d(channel, kernel)[start : start + channel.shape[0], start : start + channel.shape[1]]


def smooth(channel):
    return convolve(channel, np.full((2, 2), 1 / 4))


def similarity(first, second):
    return (2 * first * second + 30) / (first**2 + second**2 + 30)


def pair(height=40, width=56):
    """A smooth picture with a pattern, and the same with noise."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack([rows * 4, columns * 3, (rows * columns) % 97]).clamp(0, 255)
    noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(0)) * 20
    return (picture + noise).clamp(0, 255).to(torch.uint8), picture.to(torch.uint8)


def test_value_is_that_of_the_definition():
    image, reference = pair()
    assert haarpsi(image[None], reference[None]).item() == pytest.approx(oracle(image, reference), abs=2e-3)


def test_a_batch_is_its_images():
    image, reference = pair()
    images, references = torch.stack([image, reference, reference]), torch.stack([reference, reference, image])
    values = haarpsi(images, references)
    assert values[1] == pytest.approx(1, abs=1e-3)
    assert values[0] == pytest.approx(values[2].item(), abs=1e-5)  # it is symmetric
    assert values[0] < 0.9


def test_stronger_noise_is_less_alike():
    _, reference = pair()
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1))
    images = torch.stack([(reference + scale * noise).clamp(0, 255).to(torch.uint8) for scale in (2, 8, 32, 128)])
    assert (haarpsi(images, reference.expand_as(images)).diff() < 0).all()


@pytest.mark.parametrize(
    ("shape", "other", "message"),
    [
        ((1, 3, 32, 32), (1, 3, 32, 33), "of one shape"),
        ((3, 32, 32), (3, 32, 32), "of one shape"),
        ((1, 1, 32, 32), (1, 1, 32, 32), "of one shape"),
        ((1, 3, 15, 32), (1, 3, 15, 32), "at least 16 px"),
    ],
)
def test_wrong_shapes_are_refused(shape, other, message):
    with pytest.raises(ValueError, match=message):
        haarpsi(torch.zeros(shape, dtype=torch.uint8), torch.zeros(other, dtype=torch.uint8))
