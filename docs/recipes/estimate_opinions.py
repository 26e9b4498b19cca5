"""Estimate the opinion of a distortion that nobody scored, from a full-reference metric. It stays an estimate.

People scored each class of the bank. On pristine photos the metric has a mean per class too, and a monotone curve
leads from the metric to the opinion. The metric of a new distortion then reads an estimate off that curve. How wrong
such estimates are is measured by leaving out one type at a time: its levels are estimated from the other types' curve.

The pipeline's own curves (dsmix_aug/nriqa/datasets/estimated_opinions.py) were made like this, of 8 photos.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.datasets.haarpsi import haarpsi

SIDE = 256
BLUR = ("gaussian_blur", "lens_blur", "motion_blur")
COMPRESSION = ("jpeg2000", "jpeg", "pixelate")
NOISE = ("white_noise", "white_noise_color", "impulse_noise", "multiplicative_noise", "denoise")
#: Kinds of distortion that people judge alike at a given value of the metric. Choose the kin of yours.
KIN = {
    "blur": BLUR,
    "codec": ("jpeg2000", "jpeg"),
    "compression": COMPRESSION,
    "noise": NOISE,
    "any": BLUR + COMPRESSION + NOISE,
}
#: Where the curve is known: HaarPSI of a photo that is as it was, and of one that is past recognition.
ENDS = np.array([[1.0, 4.6], [0.3, 1.1]])
KNOTS = np.linspace(0.3, 1, 36)


def webp(photo: Tensor, quality: int) -> Tensor:
    """Return a photo after WebP: an example of a distortion that KADID-10k did not ask about."""
    file = io.BytesIO()
    Image.fromarray(photo.permute(1, 2, 0).numpy()).save(file, "WEBP", quality=quality)
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)


def class_means(bank: DistortionBank, photos: Sequence[Tensor], seed: int = 0) -> np.ndarray:
    """Return the mean of the metric over photos for each class of the bank."""
    labels = torch.arange(bank.num_classes)
    values = np.zeros(bank.num_classes)
    for number, photo in enumerate(photos):
        references = photo.expand(len(labels), -1, -1, -1)
        distorted, _ = bank(references, labels=labels, generator=torch.Generator().manual_seed(seed + number))
        values += haarpsi(distorted, references).numpy() / len(photos)
    return values


def fit(values: np.ndarray, opinions: np.ndarray) -> np.ndarray:
    """Return the curve at :data:`KNOTS`: isotonic regression, its steps smoothed."""
    points = np.concatenate([np.stack([values, opinions], 1), ENDS])
    curve = IsotonicRegression(out_of_bounds="clip").fit(*points.T).predict(KNOTS)
    smooth = np.convolve(np.pad(curve, 1, "edge"), [0.25, 0.5, 0.25], "valid")
    smooth[-1] = ENDS[0, 1]
    return np.maximum.accumulate(smooth)


def left_out_error(values: np.ndarray, opinions: np.ndarray, types: np.ndarray) -> float:
    """Return the error (RMSE) of estimates of each type from the curve of the other types."""
    errors = [
        np.interp(values[types == name], KNOTS, fit(values[types != name], opinions[types != name]))
        - opinions[types == name]
        for name in np.unique(types)
    ]
    return float(np.sqrt(np.mean(np.square(np.concatenate(errors)))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, help="pristine photos (default: two inside scikit-image)")
    parser.add_argument("--kin", choices=list(KIN), default="any", help="types that yours is akin to")
    args = parser.parse_args()

    arrays = [np.array(Image.open(path).convert("RGB")) for path in args.photos]
    arrays = arrays or [skimage.data.astronaut(), skimage.data.coffee()]
    photos = [torch.from_numpy(array[:SIDE, :SIDE].copy()).permute(2, 0, 1) for array in arrays]

    bank = DistortionBank(KIN[args.kin], pristine=False)
    values, opinions = class_means(bank, photos), bank.opinion_scores.numpy()
    error = left_out_error(values, opinions, bank.type_index.numpy())
    print(f"Error of an estimate, on types of {args.kin} that were left out: {error:.2f} points of 1 to 5 (RMSE)")
    curve = fit(values, opinions)
    print("HaarPSI -> opinion:", ", ".join(f"{x:.2f}: {y:.2f}" for x, y in zip(KNOTS[::5], curve[::5], strict=True)))
    for quality in (80, 30, 5):
        value = np.mean([haarpsi(webp(photo, quality)[None], photo[None]).item() for photo in photos])
        opinion = np.interp(value, KNOTS, curve)
        print(f"webp, quality {quality}: HaarPSI {value:.3f}, opinion {opinion:.1f} (an estimate: nobody was asked)")
