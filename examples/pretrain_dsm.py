"""Stage 1 alone: train the DSM estimator on distorted photos and check it on held-out ones."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.command_line import make_parser, open_run, print_skipped
from dsmix_aug.nriqa.stages import run_dsm


def main() -> None:
    """Run the script."""
    parser = make_parser(__doc__)
    run = open_run(parser, parser.parse_args())
    run_dsm(run)
    if distributed.rank() == 0:
        table = run.correlation
        mean = table[table["varies"]].groupby("distortion")["correlation"].mean()
        print(f"\n{run.remark}")
        print("Correlation of predicted and true DSM within held-out images, by type, where the map varies:")
        print(mean.to_string(float_format="{:.3f}".format))
        print(f"\nEstimator: {run.estimator_path.resolve()}")
        print_skipped(run)


if __name__ == "__main__":
    main()
