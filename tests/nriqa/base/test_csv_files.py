"""CSV tables: read back as they were, whatever is in a cell, and nothing that a spreadsheet would run."""

import csv
import math

import pandas as pd
import pytest

from dsmix_aug.nriqa.base.csv_files import parse_bool, read_csv, write_csv

NAMES = [
    "plain.png", "=1+2.png", "+a", "-a.png", "@SUM(A1)", "\ta", "\ra", "'quoted'.png", "''", "NA", "null", "", " a ",
    'with "quotes", commas', "two\nlines", "über 写真.png", "a'=b", "=cmd|' /C calc'!A0", "no utf-8: \udcff",
]  # fmt: skip


def test_whatever_a_cell_holds_is_read_back(tmp_path):
    path = tmp_path / "table.csv"
    numbers = [0.1 + number for number in range(len(NAMES))]
    write_csv(path, {"image": NAMES, "score": numbers, "switch": [True] * len(NAMES), "count": [-3] * len(NAMES)})
    table = read_csv(path, {"image": str, "score": float, "switch": parse_bool, "count": int})
    assert table == {
        "image": NAMES, "score": numbers, "switch": [True] * len(NAMES), "count": [-3] * len(NAMES)
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_no_cell_begins_a_formula_and_numbers_stay_numbers(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, {"image": NAMES, "score": [-1.5] * len(NAMES)})
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        cells = [row["image"] for row in csv.DictReader(file)]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert pd.read_csv(path, encoding_errors="surrogateescape")["score"].tolist() == [-1.5] * len(NAMES)


def test_missing_numbers_are_read_back_and_known_to_pandas(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, {"value": [math.nan, 1.0]})
    assert math.isnan(read_csv(path, {"value": float})["value"][0])
    assert pd.read_csv(path)["value"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 is damaged .there is no column 'image'"),
        (b"image,count\na,1\n", "there is no column 'score'"),
        (b"image,score\na,1.0\nb", "line 3 is damaged"),
        (b"image,score\na,1.0\nb,0.5.", "line 3 is damaged"),
        (b'image,score\na,1.0\n"b,2.0\n', "damaged"),
    ],
)
def test_damage_is_named_with_file_and_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_csv(path, {"image": str, "score": float})
    assert str(path) in str(error.value)
