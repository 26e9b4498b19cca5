"""Does a joint probe carry over to kinds of distortions that it was not trained on? Each family is left out in turn.

    python docs/recipes/held_out_families.py runs/small lite1_and_averaged

The probe is fitted to the training sides of the run's first scored dataset and of ``opinions``, without the images of
one family, and tested on that family's images of held-out photos. Beside it stands the probe that has seen the family.
Classes have one opinion each, so a table that knows the class has an SRCC of 1.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.datasets import ScoredSet
from dsmix_aug.nriqa.datasets.opinion_photos import OPINIONS_NAME
from dsmix_aug.nriqa.networks.joint_probe import fit_joint_probe
from dsmix_aug.nriqa.runs.config import Machine
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.names import PROBE
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.runs.splits import make_splits
from dsmix_aug.nriqa.stages.probe import row_features, training_sets


def families_of(made: ScoredSet) -> np.ndarray:
    """Return the family of each image's distortion, ``""`` for pristine ones, by the name of its file."""
    of_type = {name: family for family, names in DistortionBank().families.items() for name in names}
    classes = [path.stem.split("_", 3)[3] for path in made.images]  # SIDE_PHOTO_NUMBER_CLASS
    return np.array([of_type.get(name.rsplit("_", 1)[0], "") for name in classes])


def judge(run: Run, row: str) -> pd.DataFrame:
    """Return, by family, the number of its images of held-out photos and the SRCC of both probes on them."""
    by_name = {scored.name: scored for scored in run.scored_sets}
    made = by_name[OPINIONS_NAME]
    first = next(scored for scored in run.scored_sets if scored is not made)
    features, widths = row_features(run, row)
    of_joint = {given.dataset: given.weight for given in run.config.joined}
    weights = [of_joint.get(scored.name) for scored in (first, made)]
    splits = [make_splits(scored, run.config.split_count, run.config.seed)[0] for scored in (first, made)]
    (photos, _), (train, test) = splits
    families = families_of(made)

    whole = training_sets(run, row, (first, made), features)

    def predict(kept: np.ndarray, tested: np.ndarray) -> np.ndarray:
        sets = [given.select(chosen) for given, chosen in zip(whole, (photos, kept), strict=True)]
        seed = derive_seed(run.config.seed, PROBE)
        probe, _ = fit_joint_probe(sets, widths, weights, run.config.hidden_units, seed)
        return probe.predict(features[made.name][tested])

    seen = predict(train, test)
    lines = []
    for family in DistortionBank().families:
        inside = families[test] == family
        line = {"family": family, "images": int(inside.sum()), "left out": np.nan, "seen": np.nan}
        if line["images"] > 1:
            targets = made.scores[test[inside]]
            left_out = predict(train[families[train] != family], test[inside])
            line["left out"] = stats.spearmanr(left_out, targets).statistic
            line["seen"] = stats.spearmanr(seen[inside], targets).statistic
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run with --data opinions=N and another dataset")
    parser.add_argument("row", help="whose features to use")
    args = parser.parse_args()
    run = Run(args.run, RunFolder(args.run).config, Machine(), stages=())
    print(judge(run, args.row).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
