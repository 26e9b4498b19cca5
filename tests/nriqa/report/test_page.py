"""The report's pieces: nothing that a name holds becomes markup or a formula."""

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dsmix_aug.nriqa.report import pictures
from dsmix_aug.nriqa.report.explained_rows import explain_row
from dsmix_aug.nriqa.report.page import TEMPLATE, _figure, _Result, _result_table, _section
from dsmix_aug.nriqa.runs.folder import RESULT_COLUMNS
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import ROWS

NAMES = ["<script>alert(1)</script>", "$\\frac{$", "a & b", "'\">"]


def result(title="DSMix", dataset="toy", srcc=0.5):
    return _Result("dsmix", dataset, dataset, title, "MOS", srcc, 0.6, 0.5, 0.4, 1.25, 0.3, 0.7, 10, 42)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_the_page(name):
    pieces = [
        _result_table([result(title=name, dataset=name)]),
        _figure("data:,", caption=name, alt=name),
        _section(name, name, ""),
    ]
    for piece in pieces:
        assert html.escape(name) in piece
        assert name == html.escape(name) or name not in piece


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_the_pictures(name):
    values = np.linspace(0, 1, 5)
    results = pd.DataFrame([result(title=name, dataset=name)._asdict()])
    table = pd.DataFrame({"target": values, "prediction": values})
    for picture in (
        pictures.draw_results(results),
        pictures.draw_curves({name: values.tolist()}, name),
        pictures.draw_scatter({name: table}, name),
        pictures.draw_bars(pd.Series([0.5], [name]), name),
    ):
        assert picture.startswith("data:image/png;base64,")


def test_the_best_row_is_marked():
    table = _result_table([result("low", srcc=0.2), result("high", srcc=0.9), result("undefined", srcc=float("nan"))])
    (best,) = re.findall(r'<tr class="best">(.*?)</tr>', table)
    assert "high" in best
    assert "<td>0.900</td>" in best
    assert "undefined" in table


@pytest.mark.parametrize("name", list(ROWS))
def test_a_row_is_explained_by_all_that_makes_it(name):
    config = replace(PRESETS["small"], weighting="mass")
    words = explain_row(ROWS[name], config)
    assert words.count(" of ") >= len(ROWS[name].networks)
    explained = {name: explain_row(row, config) for name, row in ROWS.items()}
    assert len(set(explained.values())) == len(ROWS)
    assert "teacher's" not in explain_row(ROWS[name], replace(config, distillation_weight=0.0))


@pytest.mark.parametrize(
    ("weighting", "words"),
    [("mass_and_area", "half by the DSM and half by area"), ("mass", "by the DSM"), ("annoyance", "bothers people")],
)
def test_a_row_without_a_weighting_of_its_own_has_that_of_the_run(weighting, words):
    assert words in explain_row(ROWS["dsmix"], replace(PRESETS["small"], weighting=weighting))


def test_a_result_has_the_columns_of_the_results():
    assert _Result._fields == tuple(RESULT_COLUMNS)


def test_the_template_has_its_four_places():
    names = set(re.findall(r"\$(\w+)", TEMPLATE.read_text(encoding="utf-8")))
    assert names == {"name", "preset", "photos", "sections"}
