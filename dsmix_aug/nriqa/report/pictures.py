"""The report's pictures, as data that an HTML page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

SMOOTHING = 0.9
#: Names of datasets are not formulas, even with dollar signs.
PLAIN_TEXT: Any = {"text.parse_math": False}
#: Okabe and Ito's colours, told apart by colour-blind readers too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def encode_photo(image: Tensor) -> str:
    """Return a (3, H, W) uint8 image as a WebP data URI, a fifth of a PNG's size."""
    return _to_data_uri(Image.fromarray(image.permute(1, 2, 0).numpy()), "webp", quality=90)


def encode_map(sensitivity: Tensor, size: tuple[int, int], brightest: float) -> str:
    """Return :func:`color_map` as a PNG data URI."""
    return _to_data_uri(color_map(sensitivity, size, brightest), "png")


def color_map(sensitivity: Tensor, size: tuple[int, int], brightest: float) -> Image.Image:
    """Return a (h, w) map as a picture in the colours "magma", each patch a rectangle.

    Args:
        sensitivity: The map.
        size: Width and height of the picture in px.
        brightest: The value of the brightest colour.
    """
    values = np.clip(sensitivity.float().numpy() / max(brightest, 1e-12), 0, 1)
    colored = cv2.applyColorMap((255 * values).astype(np.uint8), cv2.COLORMAP_MAGMA)
    return Image.fromarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB)).resize(size, Image.Resampling.NEAREST)


@matplotlib.rc_context(PLAIN_TEXT)
def draw_results(results: pd.DataFrame) -> str:
    """Draw the median SRCC of each row with its range over splits, one panel per dataset."""
    datasets = list(dict.fromkeys(results["tested_on"]))
    figure = Figure((4.2 * len(datasets) + 2, 0.42 * results["row"].nunique() + 1.1), layout="constrained")
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=True):
        table = results[results["tested_on"] == dataset].iloc[::-1]
        places = np.arange(len(table))
        panel.hlines(places, table["srcc_min"], table["srcc_max"], color="#b9c4cf", linewidth=5)
        panel.plot(table["srcc"], places, "o", color=COLORS[0], markersize=9)
        panel.set_yticks(places, table["title"] if panel is panels[0] else [""] * len(table))
        panel.set_xlabel("SRCC: median and range over splits")
        panel.set_title(dataset)
        _clean(panel)
        panel.grid(axis="x", color="#e6eaee")
    return _encode(figure)


@matplotlib.rc_context(PLAIN_TEXT)
def draw_curves(curves: Mapping[str, Sequence[float]], ylabel: str) -> str:
    """Draw losses over steps: each step pale, their running mean strong."""
    figure = Figure((5.6, 3.4), layout="constrained")
    panel = figure.subplots()
    for number, (title, losses) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        panel.plot(losses, color=color, alpha=0.2, linewidth=0.8)
        smooth = pd.Series(losses).ewm(alpha=1 - SMOOTHING).mean()
        panel.plot(smooth, color=color, linewidth=2, label=title)
    panel.set_xlabel("step")
    panel.set_ylabel(ylabel)
    panel.legend(frameon=False)
    _clean(panel)
    return _encode(figure)


@matplotlib.rc_context(PLAIN_TEXT)
def draw_scatter(predictions: Mapping[str, pd.DataFrame], target: str) -> str:
    """Draw predicted against target scores, one panel for each entry, all with the same axes."""
    columns = min(3, len(predictions))
    lines = -(-len(predictions) // columns)
    figure = Figure((3.7 * columns, 3.5 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    everything = pd.concat(predictions.values())
    ends = [everything["target"].min(), everything["target"].max()]
    for panel, (title, table) in zip(panels, predictions.items(), strict=False):
        panel.plot(ends, ends, color="#b9c4cf", linewidth=1.5)
        panel.scatter(table["prediction"], table["target"], s=14, color=COLORS[0], alpha=0.55, linewidths=0)
        panel.set_title(title)
        panel.set_xlabel("predicted")
        panel.set_ylabel(target)
        panel.label_outer()
        _clean(panel)
    for panel in list(panels)[len(predictions) :]:
        panel.set_axis_off()
    return _encode(figure)


@matplotlib.rc_context(PLAIN_TEXT)
def draw_bars(values: pd.Series, xlabel: str) -> str:
    """Draw one horizontal bar for each entry of ``values``, the largest on top."""
    values = values.sort_values()
    figure = Figure((6.4, 0.24 * len(values) + 0.8), layout="constrained")
    panel = figure.subplots()
    panel.barh(np.arange(len(values)), values, color=[COLORS[0] if value >= 0 else COLORS[1] for value in values])
    panel.set_yticks(np.arange(len(values)), values.index)
    panel.set_xlabel(xlabel)
    panel.set_ylim(-0.6, len(values) - 0.4)
    _clean(panel)
    panel.grid(axis="x", color="#e6eaee")
    return _encode(figure)


def _clean(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_axisbelow(True)


def _encode(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return _data_uri(buffer, "png")


def _to_data_uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return _data_uri(buffer, kind)


def _data_uri(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
