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
    """Return each model's SRCC on all test sets, and its PLCC on the first, the bank's distortions."""
    table = {"model": [*NAMES.values(), CLASS_MEANS]}
    for title, test_set in TEST_SETS.items():
        found = of_test_set(rows, test_set).set_index("row").loc[list(NAMES)]
        is_bank = test_set == ("opinions", "opinions")
        of_class_means = "1" if is_bank else ""
        table[title] = [*(f"{line.srcc:.3f} ± {line.srcc_sd:.3f}" for line in found.itertuples()), of_class_means]
        if is_bank:
            table["PLCC"] = [*found["plcc"].map("{:.3f}".format), of_class_means]
            table["PLCC without the logistic"] = [*found["plcc_linear"].map("{:.3f}".format), of_class_means]
    return pd.DataFrame(table)


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
    for source, make, name in (("rows", scores, "srcc"), ("differences", differences, "differences")):
        table = make(pd.read_csv(folder / f"{source}.csv"))
        table.to_csv(RESULTS / f"dsm_study_{name}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
