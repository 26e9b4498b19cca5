"""How well the shipped quality model follows people's scores, beside NIQE, BRISQUE and PIQE, and what a photo costs.

    python benchmarks/bench_quality.py photos/scores.csv
    python benchmarks/bench_quality.py live/scores.csv --column dmos --lower-is-better

The CSV has the columns image and score (or mos, or opinion), higher is better, unless options say otherwise. Without a
CSV, the photos of scikit-image are distorted by the bank and scored by the mean opinion of their class, which the
shipped model was trained on, but on other photos.

NIQE needs the packages scikit-video, BRISQUE brisque, PIQE pypiqe; what is missing or does not run is named below the
table.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import argument_parser, environment, report
from _quality_peers import METRICS

from dsmix_aug import QualityModel
from dsmix_aug._progress import track
from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.datasets.csv_scores import load_csv
from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.datasets.opinion_photos import make_opinion_photos
from dsmix_aug.nriqa.datasets.score_table import make_scored_set
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.stages.metrics import score
from dsmix_aug.photos.reader import read_photo

PACKAGES = ("scikit-video", "brisque", "pypiqe", "scipy")
#: Images of the bank, where there is no CSV.
MADE, SMOKE_MADE = 244, 4
OURS = "dsmix_aug small"


def load_metrics(device: str) -> tuple[dict[str, Callable[[Path], float]], dict[str, str]]:
    """Return the metrics that run here, from a photo's path to its score, and why the others do not."""
    model = QualityModel.from_pretrained("small", device)
    metrics: dict[str, Callable[[Path], float]] = {OURS: lambda path: float(model.score([path])[0])}
    missing = {}
    for name, load in METRICS.items():
        try:
            metric = load()
            metric(np.random.default_rng(0).integers(0, 256, (224, 256, 3), dtype=np.uint8))
        except Exception as error:  # old packages fail in many ways on new versions of what they need
            missing[name] = f"{type(error).__name__}: {error}"
        else:
            metrics[name] = lambda path, metric=metric: metric(read_array(path))  # type: ignore[misc]
    return metrics, missing


def read_array(path: Path) -> np.ndarray:
    """Return a photo as (H, W, 3) uint8."""
    return read_photo(path).permute(1, 2, 0).contiguous().numpy()


def read_scores(path: Path, column: str | None, lower_is_better: bool) -> ScoredSet:
    """Return the images and scores of a CSV file; higher is better afterwards."""
    if column is None and not lower_is_better:
        return load_csv(path, path.parent.name)
    table = read_csv_table(path, {"image": "image", column or "score": "score"})
    if lower_is_better:
        table["score"] = -table["score"]
    return make_scored_set(path.parent.name, column or "score", path.parent, table)


def make_images(folder: Path, count: int) -> ScoredSet:
    """Return images that the bank makes of the photos of scikit-image, scored by the opinion of their class."""
    return make_opinion_photos(load_skimage_photos(min_side=64), folder, 384, count, seed=0)


def judge(name: str, metric: Callable[[Path], float], scored: ScoredSet) -> dict[str, Any]:
    """Return a row of the table: how a metric's scores follow the dataset's, and seconds per photo, reading included.

    Images that the metric cannot score, such as those too small for it, are left out and counted.
    """
    values = np.full(len(scored.images), np.nan)
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peers, on flat images
        for number, path in enumerate(track(scored.images, f"{name}: {scored.name}", "images")):
            started = time.perf_counter()
            try:
                values[number] = metric(path)
            except (ArithmeticError, AssertionError, IndexError, OSError, TypeError, ValueError):
                continue
            seconds.append(time.perf_counter() - started)
    judged = np.isfinite(values)
    result = score(values[judged], scored.scores[judged])
    return {
        "dataset": scored.name,
        "metric": name,
        "images": int(judged.sum()),
        "not scored": int((~judged).sum()),
        "SRCC": result.srcc,
        "PLCC": result.plcc,
        "s per photo": float(np.median(seconds)),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__.splitlines()[0], "runs/benchmarks/bench_quality.json")
    parser.add_argument("scores", type=Path, nargs="*", help="CSV files of images and scores")
    parser.add_argument("--column", help="the CSV's column of scores, if not score, mos or opinion")
    parser.add_argument("--lower-is-better", action="store_true", help="the CSV's scores are lower for better images")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    with tempfile.TemporaryDirectory() as folder:
        try:
            sets = [read_scores(path, args.column, args.lower_is_better) for path in args.scores]
        except (OSError, ValueError) as error:
            parser.error(str(error))
        sets = sets or [make_images(Path(folder), SMOKE_MADE if args.smoke else MADE)]
        metrics, missing = load_metrics(args.device)
        rows = [judge(name, metric, scored) for scored in sets for name, metric in metrics.items()]
    report("Scores beside people's", rows, environment(PACKAGES, args.device), args.output)
    for name, reason in missing.items():
        print(f"without {name}: {reason}")


if __name__ == "__main__":
    main()
