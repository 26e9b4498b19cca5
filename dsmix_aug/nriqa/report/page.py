"""The report of a run: one self-contained HTML page to look at."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

import pandas as pd

from dsmix_aug.nriqa.base.files import read_json, write_text
from dsmix_aug.nriqa.datasets.photos import read_center
from dsmix_aug.nriqa.report import pictures, showcase
from dsmix_aug.nriqa.runs.rows import pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.evaluate import caveat
from dsmix_aug.nriqa.stages.metrics import Scores

THUMBNAIL, SHOWN_PHOTOS = 120, 8

STYLE = """
:root { --ink: #1d2733; --soft: #5c6b7a; --line: #dfe5ea; --accent: #0072b2; --note: #fff6dd; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: #f6f8fa; margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 30px; margin: 0 0 4px; }
h2 { font-size: 21px; margin: 0 0 6px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 22px 26px; margin-top: 22px; }
p { margin: 6px 0 14px; max-width: 78ch; }
.soft { color: var(--soft); }
.note { background: var(--note); border-left: 4px solid #e69f00; padding: 6px 12px; max-width: none; font-size: 14px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 10px 0; }
th, td { text-align: right; padding: 6px 14px; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 2px; }
th { color: var(--soft); font-weight: 600; font-size: 14px; }
.grid { display: grid; gap: 16px 14px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); margin: 12px 0; }
.thumbnails { display: grid; gap: 12px; grid-template-columns: repeat(8, minmax(0, 1fr)); margin: 12px 0; }
.thumbnails figcaption { overflow: hidden; text-overflow: ellipsis; font-size: 12px; }
.four { display: grid; gap: 10px 14px; grid-template-columns: 1.1fr repeat(4, 1fr); align-items: center; }
.three { display: grid; gap: 16px; grid-template-columns: repeat(3, 1fr); margin: 12px 0; }
.wide { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
figure { margin: 0; }
figure img { width: 100%; border-radius: 6px; display: block; }
figcaption { font-size: 13.5px; color: var(--soft); margin-top: 4px; }
.map { image-rendering: pixelated; }
.chart { max-width: 100%; display: block; }
.head { font-weight: 600; font-size: 14px; color: var(--soft); }
.bar { display: flex; height: 20px; border-radius: 5px; overflow: hidden; width: 420px; }
details { margin-top: 8px; } pre { font-size: 12.5px; overflow-x: auto; }
"""


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
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>dsmix_aug: {escape(run.folder.name)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>No-reference image quality with DSMix</h1><p class='soft'>Run <b>{escape(run.folder.name)}</b>, preset "
        f"{escape(run.config.preset)}. Pre-training on {escape(run.photos.name)}.</p>"
        f"{''.join(sections)}</main></body></html>"
    )
    write_text(run.report_path, page)
    return run.report_path


def _results(run: Run, results: pd.DataFrame) -> str:
    within = results[results["trained_on"] == results["tested_on"]]
    splits = ", ".join(f"{count}" for count in sorted(set(within["splits"])))
    body = (
        "<p>Each row's features are frozen; ridge regression turns them into scores. Medians over "
        f"{splits} split(s) in which no content is on both sides.</p>"
    )
    for dataset in dict.fromkeys(within["tested_on"]):
        rows = "".join(_result_row(row) for row in within[within["tested_on"] == dataset].itertuples())
        body += (
            f"<table><tr><th>{escape(dataset)}</th><th>SRCC</th><th>its range</th><th>PLCC</th><th>KRCC</th>"
            f"<th>RMSE</th><th>test images</th></tr>{rows}</table>"
        )
    body += _chart(pictures.draw_results(within), "SRCC of each row", width=700)
    across = results[results["trained_on"] != results["tested_on"]]
    if len(across):
        body += "<h2>Across datasets: SRCC</h2>"
        matrix = results.pivot_table(index=["title", "trained_on"], columns="tested_on", values="srcc", sort=False)
        body += matrix.to_html(float_format="{:.3f}".format, border=0)
    return _section("Results", caveat(run), body)


def _result_row(row: object) -> str:
    values = [_number(getattr(row, name)) for name in Scores._fields]
    spread = f"{_number(row.srcc_min)} to {_number(row.srcc_max)}"  # type: ignore[attr-defined]
    cells = [f"<b>{values[0]}</b>", spread, *values[1:], str(row.images)]  # type: ignore[attr-defined]
    return f"<tr><td>{escape(row.title)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"  # type: ignore[attr-defined]


def _photos(run: Run) -> str:
    body = ""
    for title, paths in (("Trained on", run.photos.training), ("Held out", run.photos.held_out)):
        shown = [read_center(path, THUMBNAIL, THUMBNAIL) for path in paths[:SHOWN_PHOTOS]]
        figures = "".join(
            _figure(pictures.encode_photo(photo), escape(path.name)) for photo, path in zip(shown, paths, strict=False)
        )
        body += f"<p><b>{title}</b>: {len(paths)} photos</p><div class='thumbnails'>{figures}</div>"
    return f"<section><h2>Photos</h2>{body}</section>"


def _distortions(run: Run) -> str:
    photo = showcase.photo_of(run, 0)
    shown = showcase.distort(run, photo, showcase.SHOWN_CLASSES, with_maps=False)
    figures = [_figure(pictures.encode_photo(photo), "<b>pristine</b>")]
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
        caption = f"<b>{one.title}</b><br><span class='soft'>brightest colour: {brightest:.3f}</span>"
        cells += f"<div>{caption}</div>{_figure(pictures.encode_photo(photo))}"
        cells += _figure(pictures.encode_photo(one.image))
        cells += "".join(_figure(picture, css="map") for picture in maps)
    table = run.correlation
    varying = table[table["varies"]].groupby("distortion")["correlation"].mean()
    patch_size = run.config.patch_size
    text = (
        "<p>The DSM says where, and how strongly, a distortion changed an image: the absolute difference to the "
        f"pristine photo, averaged over {patch_size}x{patch_size} px. The estimator has to guess it from the distorted "
        "image alone, here on a photo that it has never seen. Both maps of a line share their colours.</p>"
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
        f"<tr><td>{name}</td><td>{shares[0]:.2f}</td><td>{_confidence_bar(shares)}</td><td>{shares[1]:.2f}</td></tr>"
        for name, shares in mixed.confidences.items()
    )
    head = f"<tr><th>weighting</th><th>{mixed.titles[0]}</th><th></th><th>{mixed.titles[1]}</th></tr>"
    text = (
        "<p>DSMix cuts and pastes like CutMix, but a label's confidence follows the DSM, not the area. <b>mass</b>: "
        "each label's share of the visible distortion; <b>retained</b>: how much of each distortion survived the cut; "
        "<b>area</b>: CutMix. The same box, three answers:</p>"
    )
    body = f"{text}<div class='three'>{''.join(images + maps)}</div><table>{head}{bars}</table>"
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
    for scored in run.scored_sets:
        first = predictions[(predictions["tested_on"] == scored.name) & (predictions["split"] == 0)]
        tables = {run.rows[name].title: table for name, table in first.groupby("row", sort=False)}
        target = scored.target.split(" (")[0]
        body += _chart(pictures.draw_scatter(tables, target), f"predicted against target, {scored.name}", width=980)
    return _section("Predicted against target", caveat(run), body)


def _details(run: Run) -> str:
    seconds = "".join(f"<tr><td>{part}</td><td>{value:.0f} s</td></tr>" for part, value in run.seconds().items())
    skipped = "".join(f"<li>{escape(str(entry.path))}: {escape(entry.reason)}</li>" for entry in run.skipped)
    documents = "".join(
        f"<details><summary>{name}</summary><pre>{escape((run.folder / name).read_text())}</pre></details>"
        for name in ("config.json", "sessions.json")
    )
    starts = len(read_json(run.sessions_path))
    body = (
        f"<table><tr><th>part</th><th>wall time</th></tr>{seconds}</table>"
        f"<p>Started {starts} time(s). Photos left out: {len(run.skipped)}.</p><ul>{skipped}</ul>{documents}"
    )
    return f"<section><h2>How it was made</h2>{body}</section>"


def _section(title: str, note: str, body: str) -> str:
    return f"<section><h2>{title}</h2><p class='note'>{escape(note)}</p>{body}</section>"


def _figure(source: str, caption: str = "", css: str = "") -> str:
    return f"<figure><img class='{css}' src='{source}' alt=''><figcaption>{caption}</figcaption></figure>"


def _chart(source: str, alt: str, width: int) -> str:
    return f"<img class='chart' width='{width}' src='{source}' alt='{escape(alt)}'>"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
