"""Does the score of a photo fall with each distortion's level, and stay below the clean photo's?

    python docs/recipes/score_by_level.py PHOTOS

Prints for each type how far it changes the score on average over the photos, level by level; how many types fall with
every level; how many single images at levels 1 and 2 score above their clean photo; and what images of nothing get.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from dsmix_aug import DistortionBank, QualityModel
from dsmix_aug.photos.listing import list_photos
from dsmix_aug.photos.reader import read_shrunk, to_float

SIDE = 320
LEVELS = range(1, 6)


def score_levels(model: QualityModel, bank: DistortionBank, photo: Tensor) -> tuple[float, Tensor]:
    """Return a clean photo's score, and those of its distorted images, (types, levels); NaN where nothing changes."""
    clean = model(to_float(photo[None])).item()
    scores = torch.full((len(bank), len(LEVELS)), torch.nan)
    for row, distortion in enumerate(bank):
        for column, level in enumerate(LEVELS):
            distorted = bank[distortion](photo[None], level, generator=torch.Generator().manual_seed(row))
            if not torch.equal(distorted, photo[None]):
                scores[row, column] = model(to_float(distorted)).item()
    return clean, scores


def images_of_nothing(side: int = 384) -> dict[str, Tensor]:
    """Return images (1, 3, H, W), float32, that show nothing, by name."""
    board = (torch.arange(side)[:, None] // 16 + torch.arange(side) // 16) % 2
    return {
        "one colour": torch.full((1, 3, side, side), 0.5),
        "noise": torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)),
        "checkerboard": board.float().expand(1, 3, -1, -1),
    }


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of pristine photos")
    parser.add_argument("--count", type=int, default=12, help="photos to use, evenly spread over the folder")
    args = parser.parse_args()

    model, bank = QualityModel.from_pretrained("small"), DistortionBank()
    paths = list_photos(args.photos)
    chosen = paths[:: max(1, len(paths) // args.count)][: args.count]
    with torch.no_grad():
        clean, scores = zip(*(score_levels(model, bank, read_shrunk(path, SIDE)) for path in chosen), strict=True)
        nothing = {name: model(image).item() for name, image in images_of_nothing().items()}
    changes = torch.stack(scores) - torch.tensor(clean)[:, None, None]
    mean = changes.nanmean(0)
    falling = [row[~row.isnan()].diff().lt(0).all().item() for row in mean]
    for name, row, falls in zip(bank, mean, falling, strict=True):
        print(f"{name:24}", "".join(f"{value:8.3f}" for value in row), "" if falls else "  does not fall")
    light = changes[:, :, :2]
    light = light[~light.isnan()]
    print(f"{sum(falling)} of {len(falling)} types fall with every level")
    print(f"{100 * light.gt(0).float().mean():.1f} % of {len(light)} light distortions score above their clean photo")
    print(f"clean photos {sum(clean) / len(clean):.2f};", ", ".join(f"{k} {v:.2f}" for k, v in nothing.items()))


if __name__ == "__main__":
    main()
