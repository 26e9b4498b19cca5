"""Estimate the opinion of a distortion that nobody scored, from a full-reference metric. It stays an estimate.

People scored each class of the bank. On pristine photos the metric has a mean per class too, and a monotone curve
leads from the metric to the opinion. The metric of a new distortion then reads an estimate off that curve. How wrong
such estimates are is measured by leaving out one type at a time: its levels are estimated from the other types' curve.
"""

import argparse
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from torch import Tensor

from dsmix_aug import DistortionBank

SIDE = 256
#: Kinds of distortion that people judge alike at a given value of the metric: a curve for each is less wrong than one
#: curve for all. Choose the kin of yours.
KIN = {
    "blur": ("gaussian_blur", "lens_blur", "motion_blur"),
    "compression": ("jpeg2000", "jpeg", "pixelate"),
    "noise": ("white_noise", "white_noise_color", "impulse_noise", "multiplicative_noise", "denoise"),
}


def ssim(image: Tensor, reference: Tensor) -> float:
    """Return the SSIM of two (3, H, W) uint8 images: replace it by a better metric if you have one."""
    first, second = (picture.permute(1, 2, 0).numpy() for picture in (image, reference))
    return float(structural_similarity(first, second, channel_axis=2, data_range=255, gaussian_weights=True))


def webp(photo: Tensor, quality: int) -> Tensor:
    """Return a photo after WebP: an example of a distortion that is not in KADID-10k."""
    file = io.BytesIO()
    Image.fromarray(photo.permute(1, 2, 0).numpy()).save(file, "WEBP", quality=quality)
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)


def fit(bank: DistortionBank, photos: Sequence[Tensor], seed: int = 0) -> tuple[IsotonicRegression, float]:
    """Return the curve from the metric to the opinion, and its error on types that it was not fitted to."""
    labels = torch.arange(bank.num_classes)
    values = np.zeros(bank.num_classes)
    for number, photo in enumerate(photos):
        generator = torch.Generator().manual_seed(seed + number)
        distorted, _ = bank(photo.expand(len(labels), -1, -1, -1), labels=labels, generator=generator)
        values += [ssim(image, photo) / len(photos) for image in distorted]
    opinions = bank.opinion_scores.numpy()
    curve = IsotonicRegression(y_min=1, y_max=5, out_of_bounds="clip")
    held_out = cross_val_predict(curve, values, opinions, groups=bank.type_index.numpy(), cv=LeaveOneGroupOut())
    return curve.fit(values, opinions), float(np.sqrt(np.mean(np.square(held_out - opinions))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, help="pristine photos (default: two inside scikit-image)")
    parser.add_argument("--kin", choices=list(KIN), default="compression", help="types that yours is akin to")
    args = parser.parse_args()

    arrays = [np.array(Image.open(path).convert("RGB")) for path in args.photos]
    arrays = arrays or [skimage.data.astronaut(), skimage.data.coffee()]
    photos = [torch.from_numpy(array[:SIDE, :SIDE].copy()).permute(2, 0, 1) for array in arrays]

    curve, error = fit(DistortionBank(KIN[args.kin]), photos)
    print(f"Error of an estimate, on types of {args.kin} that were left out: {error:.2f} points of 1 to 5 (RMSE)")
    for name, distort in {
        f"webp, quality {quality}": partial(webp, quality=quality) for quality in (80, 30, 5)
    }.items():
        value = np.mean([ssim(distort(photo), photo) for photo in photos])
        print(f"{name}: SSIM {value:.3f}, opinion {curve.predict([value])[0]:.1f} (an estimate: nobody was asked)")
