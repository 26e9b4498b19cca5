"""The report of a run: one self-contained HTML page to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

import pandas as pd

from dsmix_aug.nriqa.base.files import read_json, write_text
from dsmix_aug.nriqa.datasets.photos import read_center
from dsmix_aug.nriqa.report import pictures, showcase
from dsmix_aug.nriqa.report.explained_rows import explain_row
from dsmix_aug.nriqa.runs.rows import pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.evaluate import caveat

THUMBNAIL, SHOWN_PHOTOS = 120, 8

TEMPLATE = Path(__file__).with_name("page.html")


class _Result(NamedTuple):
    """A line of the results, see :data:`~dsmix_aug.nriqa.runs.folder.RESULT_COLUMNS`."""

    row: str
    trained_on: str
    tested_on: str
    title: str
    target: str
    srcc: float
    plcc: float
    plcc_linear: float
    krcc: float
    rmse: float
    srcc_min: float
    srcc_max: float
    splits: int
    images: int


def write_report(run: Run) -> Path:
    """Write ``report.html`` for a run whose four stages are finished, and return its path.

    Raises:
        FileNotFoundError: If a stage is not finished.
    """
    results = run.results
    sections = [
        _results(run, results),
        _photos(run),
        _distortions(run),
        _maps(run),
        _mixing(run),
        _curves(run),
        _predictions(run),
        _details(run),
    ]
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=escape(run.folder.name),
        preset=escape(run.config.preset),
        photos=escape(run.photos.name),
        sections="\n".join(sections),
    )
    write_text(run.report_path, page)
    return run.report_path


def _results(run: Run, results: pd.DataFrame) -> str:
    within = results[results["trained_on"] == results["tested_on"]]
    splits = ", ".join(f"{count}" for count in sorted(set(within["splits"])))
    body = (
        "<p>Each row is a compared model: its features are frozen, and ridge regression turns them into scores. "
        f"Numbers are medians over {splits} split(s) in which no content is on both sides, then come the lowest and "
        "the highest SRCC of a split, and how many images were on the test side of any.</p>"
    )
    for dataset in dict.fromkeys(within["tested_on"]):
        body += _result_table([_Result(**line) for line in within[within["tested_on"] == dataset].to_dict("records")])
    body += _chart(pictures.draw_results(within), "SRCC of each row", width=700) + _explanations(run)
    across = results[results["trained_on"] != results["tested_on"]]
    if len(across):
        body += "<h3>Across datasets: SRCC</h3>"
        matrix = results.pivot_table(index=["title", "trained_on"], columns="tested_on", values="srcc", sort=False)
        body += matrix.to_html(float_format="{:.3f}".format, border=0)
    return _section("Results", caveat(run), body)


def _result_table(results: list[_Result]) -> str:
    """Return the results of one dataset; the row of the highest SRCC is marked."""
    names = ("row", "SRCC", "lowest to highest", "PLCC", "KRCC", "RMSE", "test images")
    caption = f"Scores of {results[0].tested_on}; the row of the highest SRCC is marked"
    best = max(results, key=lambda result: -math.inf if math.isnan(result.srcc) else result.srcc)
    lines = "".join(_result_line(result, result is best) for result in results)
    return _table(caption, names, lines)


def _explanations(run: Run) -> str:
    """Return what each row is."""
    lines = "".join(
        f'<tr><th scope="row">{escape(row.title)}</th><td>{escape(explain_row(row, run.config))}</td></tr>'
        for row in run.rows.values()
    )
    return f"<div class='words'>{_table('What the rows are', ('row', 'what it is'), lines)}</div>"


def _result_line(result: _Result, is_best: bool) -> str:
    cells = [
        _number(result.srcc),
        f"{_number(result.srcc_min)} to {_number(result.srcc_max)}",
        *map(_number, (result.plcc, result.krcc, result.rmse)),
        str(result.images),
    ]
    row = f'<th scope="row">{escape(result.title)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="best">{row}</tr>' if is_best else f"<tr>{row}</tr>"


def _photos(run: Run) -> str:
    body = ""
    for title, paths in (("Trained on", run.photos.training), ("Held out", run.photos.held_out)):
        shown = [read_center(path, THUMBNAIL, THUMBNAIL) for path in paths[:SHOWN_PHOTOS]]
        figures = "".join(
            _figure(pictures.encode_photo(photo), path.name) for photo, path in zip(shown, paths, strict=False)
        )
        body += f"<p><b>{title}</b>: {len(paths)} photos</p><div class='thumbnails'>{figures}</div>"
    return _section("Photos", "", body)


def _distortions(run: Run) -> str:
    photo = showcase.photo_of(run, 0)
    shown = showcase.distort(run, photo, showcase.SHOWN_CLASSES, with_maps=False)
    figures = [_figure(pictures.encode_photo(photo), "pristine")]
    figures += [_figure(pictures.encode_photo(one.image), f"{one.title}, SSIM {one.ssim:.2f}") for one in shown]
    text = (
        "<p>One held-out photo, and what the distortion bank makes of it: a few of its 25 types, each with its level. "
        "Training distorts every crop on the fly; nothing is stored.</p>"
    )
    return _section("Distortions", run.remark, f"{text}<div class='grid'>{''.join(figures)}</div>")


def _maps(run: Run) -> str:
    photo = showcase.photo_of(run, 0)
    size = (photo.shape[-1], photo.shape[-2])
    cells = "".join(
        f"<div class='head'>{title}</div>" for title in ("", "pristine", "distorted", "true DSM", "predicted DSM")
    )
    for one in showcase.distort(run, photo, showcase.MAP_CLASSES, with_maps=True):
        assert one.predicted_map is not None
        brightest = max(float(one.true_map.max()), float(one.predicted_map.max()))
        maps = [pictures.encode_map(one_map, size, brightest) for one_map in (one.true_map, one.predicted_map)]
        caption = f"<b>{escape(one.title)}</b><br><span class='soft'>brightest colour: {brightest:.3f}</span>"
        cells += f"<div>{caption}</div>{_figure(pictures.encode_photo(photo), alt='pristine photo')}"
        cells += _figure(pictures.encode_photo(one.image), alt=f"{one.title}, distorted")
        cells += "".join(
            _figure(picture, css="map", alt=f"{kind} DSM of {one.title}")
            for picture, kind in zip(maps, ("true", "predicted"), strict=True)
        )
    table = run.correlation
    varying = table[table["varies"]].groupby("distortion")["correlation"].mean()
    patch_size = run.config.patch_size
    text = (
        "<p>The DSM says where, and how strongly, a distortion changed an image: the absolute difference to the "
        f"pristine photo, averaged over {patch_size}x{patch_size} px. The estimator sees only the distorted image, "
        "here of a photo that it has never seen. Both maps of a line share their colours.</p>"
    )
    below = (
        "<p>Correlation of predicted and true map within an image, averaged over held-out photos and levels, where the "
        f"true map varies: {_number(varying.mean())} on average over types.</p>"
    )
    chart = _chart(
        pictures.draw_bars(varying, "mean correlation within an image"), "DSM correlation by type", width=600
    )
    return _section("Sensitivity maps", run.remark, f"{text}<div class='four'>{cells}</div>{below}{chart}")


def _mixing(run: Run) -> str:
    mixed = showcase.mix(run)
    size = (mixed.image.shape[-1], mixed.image.shape[-2])
    brightest = max(float(one_map.max()) for one_map in (*mixed.source_maps, mixed.mixed_map))
    captions = (f"A: {mixed.titles[0]}", f"B: {mixed.titles[1]}", "mixed: A with a box of B")
    images = [
        _figure(pictures.encode_photo(image), caption)
        for image, caption in zip((*mixed.sources, mixed.image), captions, strict=True)
    ]
    maps = [
        _figure(pictures.encode_map(one_map, size, brightest), caption, css="map")
        for one_map, caption in zip(
            (*mixed.source_maps, mixed.mixed_map), ("DSM of A", "DSM of B", "DSM of the mixed image"), strict=True
        )
    ]
    bars = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{shares[0]:.2f}</td>'
        f"<td>{_confidence_bar(shares)}</td><td>{shares[1]:.2f}</td></tr>"
        for name, shares in mixed.confidences.items()
    )
    table = _table("Share of each label", ("weighting", mixed.titles[0], "share", mixed.titles[1]), bars)
    text = (
        "<p>DSMix cuts and pastes like CutMix, but a label's confidence follows the DSM, not the area. <b>mass</b>: "
        "each label's share of the visible distortion; <b>retained</b>: how much of each distortion survived the cut; "
        "<b>area</b>: CutMix. The same box, three answers:</p>"
    )
    body = f"{text}<div class='three'>{''.join(images + maps)}</div>{table}"
    return _section("DSMix", run.remark, body)


def _confidence_bar(shares: tuple[float, float]) -> str:
    parts = "".join(
        f"<div style='width:{100 * share:.1f}%;background:{color}'></div>"
        for share, color in zip(shares, pictures.COLORS[:2], strict=True)
    )
    return f"<div class='bar'>{parts}</div>"


def _curves(run: Run) -> str:
    log_of_estimator = run.log("dsm")
    charts = ""
    labels_of_estimator = {
        "relative_error": "relative squared error",
        "pattern": "1 - correlation of maps",
        "classes": "cross entropy of the classes",
    }
    for loss, label in labels_of_estimator.items():
        curve = {"DSM estimator": [entry[loss] for entry in log_of_estimator]}
        charts += _chart(pictures.draw_curves(curve, label), f"DSM estimator: {label}", width=470)
    logs = {pretraining.title: run.log(f"pretrain/{name}") for name, pretraining in pretrainings_of(run.config).items()}
    labels = {"classes": "cross entropy of the classes", "distillation": "distillation loss", "dsm": "DSM loss"}
    for loss, label in labels.items():
        curves = {title: [entry[loss] for entry in log] for title, log in logs.items() if loss in log[0]}
        if curves:
            charts += _chart(pictures.draw_curves(curves, label), label, width=470)
    return _section("Training curves", run.remark, f"<div class='wide'>{charts}</div>")


def _predictions(run: Run) -> str:
    predictions = run.predictions.table
    body = "<p>Every point is an image of the first split's test side, of contents that the probe has not seen.</p>"
    own = predictions[(predictions["trained_on"] == predictions["tested_on"]) & (predictions["split"] == 0)]
    for dataset, first in own.groupby("tested_on"):
        tables = {run.rows[name].title: table for name, table in first.groupby("row", sort=False)}
        picture = pictures.draw_scatter(tables, run.targets[dataset].split(" (")[0])
        body += _chart(picture, f"predicted against target, {dataset}", width=980)
    return _section("Predicted against target", caveat(run), body)


def _details(run: Run) -> str:
    seconds = "".join(
        f'<tr><th scope="row">{escape(part)}</th><td>{value:.0f} s</td></tr>' for part, value in run.seconds().items()
    )
    skipped = "".join(f"<li>{escape(str(entry.path))}: {escape(entry.reason)}</li>" for entry in run.skipped)
    documents = "".join(
        f"<details><summary>{name}</summary><pre>{escape((run.folder / name).read_text())}</pre></details>"
        for name in ("config.json", "sessions.json")
    )
    starts = len(read_json(run.sessions_path))
    body = (
        f"{_table('Time that each part took', ('part', 'wall time'), seconds)}"
        f"<p>Started {starts} time(s). Photos left out: {len(run.skipped)}.</p><ul>{skipped}</ul>{documents}"
    )
    return _section("How it was made", "", body)


def _section(title: str, note: str, body: str) -> str:
    noted = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{noted}{body}</section>"


def _table(caption: str, names: Sequence[str], lines: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{lines}</table>"


def _figure(source: str, caption: str = "", css: str = "", alt: str = "") -> str:
    picture = f'<img class="{css}" src="{source}" alt="{escape(alt or caption)}">'
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _chart(source: str, alt: str, width: int) -> str:
    return f"<img class='chart' width='{width}' src='{source}' alt='{escape(alt)}'>"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
