"""Write the tables of the study of the DSM, docs/results/dsm_study_*.csv, from what examples/ablation.py wrote.

python docs/figures/dsm_study_tables.py runs/dsm_study
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent.parent / "results"
#: (trained on, tested on) by the head of its column.
TEST_SETS = {
    "the bank's distortions": ("opinions", "opinions"),
    "BIQ2021": ("biq", "biq"),
    "LIVE, trained on BIQ2021": ("biq", "live"),
    "LIVE, trained on the bank's": ("opinions", "live"),
}
KINDS = {
    "dsmix_opinions": "DSMix by mass",
    "dsmix_annoyance": "DSMix by annoyance",
    "dsmix_mass_and_area": "DSMix by mass and area",
    "dsmix_like_scores": "DSMix of like scores",
}
NAMES = {
    "teacher": "teacher",
    "no_mixing_opinions": "no mixing",
    "cutmix_opinions": "CutMix",
    **{name: value for row, kind in KINDS.items() for name, value in ((row, kind), (f"{row}_shuffled", "its control"))},
}
#: It never looks at the image: the mean opinion of the image's class.
CLASS_MEANS = "a table of class means"


def of_test_set(table: pd.DataFrame, test_set: tuple[str, str]) -> pd.DataFrame:
    """Return the lines of a table that belong to a test set."""
    trained, tested = test_set
    return table[(table["trained_on"] == trained) & (table["tested_on"] == tested)]


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each model's SRCC on all test sets, and its PLCC on the bank's distortions."""
    table = pd.DataFrame({"model": NAMES})
    for title, test_set in TEST_SETS.items():
        found = of_test_set(rows, test_set).set_index("row")
        table[title] = [f"{line.srcc:.3f} ± {line.srcc_sd:.3f}" for line in found.loc[list(NAMES)].itertuples()]
    on_bank = of_test_set(rows, TEST_SETS["the bank's distortions"]).set_index("row").loc[list(NAMES)]
    for column, title in (("plcc", "PLCC"), ("plcc_linear", "PLCC without the logistic")):
        table.insert(2 + (column == "plcc_linear"), title, on_bank[column].map("{:.3f}".format).to_numpy())
    table.loc[CLASS_MEANS] = [CLASS_MEANS, "1", "1", "1", *[""] * (table.shape[1] - 4)]
    return table


def differences(given: pd.DataFrame) -> pd.DataFrame:
    """Return the differences in SRCC with their intervals, one column per test set."""
    pairs = list(dict.fromkeys(zip(given["row"], given["baseline"], strict=True)))
    table = pd.DataFrame({"model": [NAMES[row] for row, _ in pairs], "baseline": [NAMES[name] for _, name in pairs]})
    for title, test_set in TEST_SETS.items():
        found = of_test_set(given, test_set).set_index(["row", "baseline"]).loc[pairs]
        table[title] = [
            f"{line.srcc_difference:+.3f} ({line.low:+.3f} to {line.high:+.3f})" for line in found.itertuples()
        ]
    return table


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder with the study's rows.csv and differences.csv")
    folder = parser.parse_args().study
    for name, make in (("rows", scores), ("differences", differences)):
        table = make(pd.read_csv(folder / f"{name}.csv"))
        path = RESULTS / f"dsm_study_{'srcc' if name == 'rows' else name}.csv"
        table.to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
