"""Score the quality of photos with the weights that ship, exported ones or a finished run, and draw heat maps."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from tqdm import tqdm

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.base.devices import check_device
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.datasets.photos import check_photos, list_photos
from dsmix_aug.nriqa.heat_maps import draw_heat_map, heat_map_name
from dsmix_aug.nriqa.quality_model import QualityModel
from dsmix_aug.weights.exported import find_exported


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    models = parser.add_argument_group("what scores them")
    models.add_argument(
        "--weights", help="weights that ship, by name, or exported ones: their folder or a file (default: small)"
    )
    models.add_argument("--run", type=Path, help="folder of a finished run to use instead")
    models.add_argument("--row", help="whose features to use, of a run (default: its first row)")
    models.add_argument("--dataset", help="whose scores to predict, of a run (default: the first by name)")
    models.add_argument("--device", default="cpu", help="device of the networks (default: cpu)")
    outputs = parser.add_argument_group("what is written")
    outputs.add_argument("--csv", type=Path, help="write the scores to this file instead of the terminal")
    outputs.add_argument(
        "--maps",
        type=Path,
        help="write each photo beside its heat map to this folder; the brightest colour is the map's own maximum",
    )
    return parser


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what cannot be met before a photo is scored."""
    check_device(args.device)
    if args.run and args.weights:
        raise ValueError("give --run or --weights, not both")
    if not args.run and (args.row or args.dataset):
        raise ValueError("--row and --dataset go with --run")
    if args.csv and args.csv.is_dir():
        raise ValueError(f"--csv should be a file, {args.csv} is a folder")
    if args.maps and args.maps.exists() and not args.maps.is_dir():
        raise ValueError(f"--maps should be a folder, {args.maps} is a file")


def load_models(args: argparse.Namespace) -> tuple[QualityModel, DSMEstimator | None]:
    """Return the quality model, and the DSM estimator where maps are asked for."""
    if args.run:
        from dsmix_aug.nriqa.runs.folder import RunFolder  # needs more packages than scoring does

        run = RunFolder(args.run)
        model = run.quality_model(args.row, args.dataset, args.device)
        return model, run.estimator(args.device) if args.maps else None
    weights, estimator = find_exported(args.weights or "small")
    model = QualityModel.from_pretrained(weights, args.device)
    return model, DSMEstimator.from_pretrained(estimator).to(args.device) if args.maps else None


def score(args: argparse.Namespace, model: QualityModel, estimator: DSMEstimator | None, photos: list[Path]) -> None:
    """Score photos, write what is asked for, the scores first, and print the rest."""
    table: dict[str, list[Any]] = {"image": list(map(str, photos)), "score": model.score(photos).tolist()}
    if args.csv:
        write_csv(args.csv, table)
    if estimator is not None:
        table["mean_dsm"] = [
            draw_heat_map(estimator, photo, args.maps / heat_map_name(number, photo))
            for number, photo in enumerate(tqdm(photos, "draw maps"))
        ]
        if args.csv:
            write_csv(args.csv, table)
    if not args.csv:
        print(*(f"{name:>8}" for name in list(table)[1:]), "image")
        for image, *values in sorted(zip(*table.values(), strict=True), key=lambda row: row[1]):
            print(*(f"{value:8.3f}" for value in values), printable(image))


def main() -> None:
    """Run the script."""
    parser = make_parser()
    args = parser.parse_args()
    try:
        check_arguments(args)
        model, estimator = load_models(args)
        listed = [path for given in args.photos for path in (list_photos(given) if given.is_dir() else [given])]
        photos, skipped = check_photos(listed)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        score(args, model, estimator, photos)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"\nScore: {model.target}, predicted by '{model.row.title}' trained on {model.trained_on}; higher is better.")
    print(model.remark)
    print(f"{len(photos)} photo(s) scored, {len(skipped)} skipped.")
    for entry in skipped:
        print(f"  {printable(entry.path)}: {printable(entry.reason)}")


if __name__ == "__main__":
    main()
