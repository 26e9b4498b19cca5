"""The work of ``dsmix-aug score``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dsmix_aug._progress import Progress
from dsmix_aug.cli._csv import print_csv, write_csv
from dsmix_aug.cli._messages import complain_of_photos
from dsmix_aug.cli._output import check_absent, write_image
from dsmix_aug.cli._photos import Photo, list_photos, output_stems, why_unreadable
from dsmix_aug.nriqa.base.devices import check_device
from dsmix_aug.nriqa.base.files import write_text
from dsmix_aug.nriqa.base.names import printable
from dsmix_aug.nriqa.quality_model import QualityModel

if TYPE_CHECKING:
    from dsmix_aug.maps.estimator import DSMEstimator
    from dsmix_aug.nriqa.runs.folder import RunFolder

QUALITY_MODEL, ESTIMATOR = "quality_model-", "dsm_estimator-"


class Scores(NamedTuple):
    """The scores of photos, by the path of each, and the mean of its predicted DSM where maps were drawn."""

    images: list[str]
    scores: list[float]
    mean_dsm: list[float] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what :meth:`rows` holds."""
        return ("image", "score") if self.mean_dsm is None else ("image", "score", "mean_dsm")

    def rows(self) -> list[tuple[Any, ...]]:
        """Return one row for each photo."""
        columns = (self.images, self.scores) if self.mean_dsm is None else (self.images, self.scores, self.mean_dsm)
        return list(zip(*columns, strict=True))


def score_photos(args: argparse.Namespace) -> int:
    """Score the photos as the arguments ask for, and return the exit code."""
    listed = list_photos(args.photos)
    pictures = [args.maps / f"{stem}-dsm.png" for stem in output_stems(listed)] if args.maps else []
    table = args.csv or args.json
    check_absent([*pictures, *([Path(table)] if table not in (None, "-") else [])], args)
    check_device(args.device)
    model = load_model(args)
    estimator = load_map_estimator(args) if args.maps else None

    scores, failed = score_readable(model, listed, args.working_side)
    mean_dsm = None
    if estimator is not None:
        if table not in (None, "-"):  # kept whatever happens to the maps
            write_file(Scores([str(photo.path) for photo in scores], list(scores.values()), None), model, failed, args)
        files = [(photo.path, path) for photo, path in zip(listed, pictures, strict=True) if photo in scores]
        mean_dsm = draw_maps(estimator, files, args.top)
    write_scores(Scores([str(photo.path) for photo in scores], list(scores.values()), mean_dsm), model, failed, args)
    complain_of_photos("score", failed)
    return 1 if failed else 0


def load_model(args: argparse.Namespace) -> QualityModel:
    """Return the quality model that ``--run`` or ``--weights`` names."""
    if args.run:
        return _open_run(args.run).quality_model(args.row, args.dataset, args.device)
    return QualityModel.from_pretrained(find_weights(args.weights, QUALITY_MODEL), args.device)


def _open_run(folder: Path) -> RunFolder:
    from dsmix_aug.nriqa.runs.folder import RunFolder  # takes more packages than scoring does

    return RunFolder(folder)


def load_map_estimator(args: argparse.Namespace) -> DSMEstimator:
    """Return the DSM estimator that ``--run`` or ``--weights`` names."""
    from dsmix_aug.maps.estimator import DSMEstimator  # takes more packages than scoring does

    if args.run:
        return _open_run(args.run).estimator(args.device)
    return DSMEstimator.from_pretrained(find_weights(args.weights, ESTIMATOR)).to(args.device)


def find_weights(given: str, kind: str) -> str | Path:
    """Return what ``from_pretrained`` takes for the weights of a kind that ``--weights`` names.

    Raises:
        FileNotFoundError: If a folder holds no quality model, or there is no estimator next to the quality model.
        ValueError: If a folder holds several quality models.
    """
    folder, file = Path(given), Path(given)
    if not folder.is_dir() and file.suffix != ".safetensors":
        return given  # the name of weights that ship
    if folder.is_dir():
        files = sorted(folder.glob(f"{QUALITY_MODEL}*.safetensors"))
        if not files:
            raise FileNotFoundError(f"--weights: {folder} holds no {QUALITY_MODEL}NAME.safetensors")
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise ValueError(f"--weights: {folder} holds several quality models, give one of them: {names}")
        file = files[0]
    if kind == QUALITY_MODEL:
        return file
    estimator = file.with_name(file.name.replace(QUALITY_MODEL, ESTIMATOR, 1))
    if estimator == file or not estimator.is_file():
        raise FileNotFoundError(f"--maps: there is no {ESTIMATOR}NAME.safetensors next to {file}, which maps need")
    return estimator


def score_readable(
    model: QualityModel, listed: Sequence[Photo], working_side: int | None
) -> tuple[dict[Photo, float], list[tuple[str, str]]]:
    """Return the scores of the photos that can be scored, and the others' paths, each with why."""
    scores: dict[Photo, float] = {}
    failed = []
    each = model.score_each([photo.path for photo in listed], working_side)
    with Progress("score", len(listed)) as progress:
        for photo, score in zip(listed, each, strict=True):
            if isinstance(score, OSError):
                failed.append((str(photo.path), why_unreadable(photo, score)))
            else:
                scores[photo] = score
            progress.advance()
    return scores, failed


def draw_maps(estimator: DSMEstimator, files: Sequence[tuple[Path, Path]], top: float) -> list[float]:
    """Write the heat map of each photo, given with the path of its picture, and return the maps' means."""
    from dsmix_aug.cli._heat_map import draw_heat_map
    from dsmix_aug.cli._map import predict_map

    means = []
    with Progress("draw maps", len(files)) as progress:
        for photo, picture in files:
            mapped = predict_map(estimator, photo)
            write_image(draw_heat_map(*mapped, top), picture)
            means.append(float(mapped.sensitivity.mean()))
            progress.advance()
    return means


def write_file(
    scores: Scores, model: QualityModel, failed: Sequence[tuple[str, str]], args: argparse.Namespace
) -> None:
    """Write the scores to the file that is asked for."""
    if args.csv:
        write_csv(Path(args.csv), scores.columns, scores.rows())
    else:
        write_text(Path(args.json), json.dumps(_as_json(scores, model, failed), indent=2) + "\n")


def write_scores(
    scores: Scores, model: QualityModel, failed: Sequence[tuple[str, str]], args: argparse.Namespace
) -> None:
    """Write or print the scores in the form that is asked for, and say what they are."""
    to_stdout = "-" in (args.csv, args.json)
    if args.csv == "-":
        print_csv(sys.stdout, scores.columns, scores.rows())
    elif args.json == "-":
        print(json.dumps(_as_json(scores, model, failed), indent=2))
    elif args.csv or args.json:
        write_file(scores, model, failed, args)
    else:
        _print_table(scores)
    remarks = sys.stderr if to_stdout else sys.stdout
    print(
        f"Score: {model.target}, predicted by '{model.row.title}' trained on {model.trained_on}; higher is better.",
        file=remarks,
    )
    print(model.remark, file=remarks)
    print(f"{len(scores.images)} photo(s) scored, {len(failed)} skipped.", file=remarks)


def _as_json(scores: Scores, model: QualityModel, failed: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "target": model.target,
        "model": model.row.title,
        "trained_on": model.trained_on,
        "remark": model.remark,
        "scores": [dict(zip(scores.columns, row, strict=True)) for row in scores.rows()],
        "skipped": [{"image": image, "reason": reason} for image, reason in failed],
    }


def _print_table(scores: Scores) -> None:
    """Print one line for each photo, the lowest score first."""
    print("  ".join([*(f"{name:>8}" for name in scores.columns[1:]), "image"]))
    for image, *values in sorted(scores.rows(), key=lambda row: row[1]):
        print("  ".join([*(f"{value:8.3f}" for value in values), printable(image)]))
    print()
