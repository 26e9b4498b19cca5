"""Score the quality of photos with the weights that ship, or a finished run, and draw where each looks distorted."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.datasets.photos import check_photos, list_photos, read_shrunk, to_float
from dsmix_aug.nriqa.quality_model import QualityModel
from dsmix_aug.nriqa.report.pictures import color_map
from dsmix_aug.nriqa.runs.folder import RunFolder

#: Photos are shrunk to this shorter side in px before their map is drawn.
MAP_SIDE = 384


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--weights", default="small", help="weights that ship with the package")
    parser.add_argument("--run", type=Path, help="folder of a finished run to use instead of them")
    parser.add_argument("--row", help="whose features to use, of a run (default: its first row)")
    parser.add_argument("--dataset", help="whose scores to predict, of a run (default: the first by name)")
    parser.add_argument("--csv", type=Path, help="write the scores to this file instead of the terminal")
    parser.add_argument("--maps", type=Path, help="write a heat map of each photo to this folder")
    parser.add_argument("--device", default="cpu", help="device of the networks")
    args = parser.parse_args()

    try:
        if args.run:
            run = RunFolder(args.run)
            model, estimator = run.quality_model(args.row, args.dataset, args.device), run.estimator(args.device)
        else:
            model = QualityModel.from_pretrained(args.weights, args.device)
            estimator = DSMEstimator.from_pretrained(args.weights).to(args.device)
        listed = [path for given in args.photos for path in (list_photos(given) if given.is_dir() else [given])]
        photos, skipped = check_photos(listed)
    except (ValueError, OSError) as error:
        parser.error(str(error))

    table = pd.DataFrame({"image": list(map(str, photos)), "score": model.score(photos)})
    if args.maps:
        table["mean_dsm"] = [
            draw_map(estimator, photo, args.maps / f"{number:04d}_{photo.stem}.png")
            for number, photo in enumerate(tqdm(photos, "draw maps"))
        ]

    if args.csv:
        with replace_when_done(args.csv) as temporary:
            table.to_csv(temporary, index=False)
    else:
        print(table.sort_values("score").to_string(index=False, float_format="{:.3f}".format))
    print(f"\nScore: {model.target}, predicted by '{model.row.title}' trained on {model.trained_on}; higher is better.")
    print(model.remark)
    print(f"{len(photos)} photo(s) scored, {len(skipped)} skipped.")
    for entry in skipped:
        print(f"  {entry.path}: {entry.reason}")


def draw_map(estimator: DSMEstimator, photo: Path, path: Path) -> float:
    """Write the photo beside its predicted DSM, and return the map's mean."""
    image = read_shrunk(photo, MAP_SIDE)
    with torch.no_grad():
        sensitivity: Tensor = estimator(to_float(image).unsqueeze(0).to(next(estimator.parameters()).device))[0].cpu()
    height, width = image.shape[-2:]
    both = Image.new("RGB", (2 * width, height))
    both.paste(Image.fromarray(image.permute(1, 2, 0).numpy()))
    both.paste(color_map(sensitivity, (width, height), float(sensitivity.max())), (width, 0))
    with replace_when_done(path) as temporary:
        both.save(temporary)
    return float(sensitivity.mean())


if __name__ == "__main__":
    main()
