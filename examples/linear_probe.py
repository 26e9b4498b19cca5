"""Stages 3 and 4 alone: probe the pre-trained backbones of a run, and judge them on scored images."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.command_line import make_parser, open_run, print_skipped
from dsmix_aug.nriqa.report.page import caveat, format_table
from dsmix_aug.nriqa.stages import run_evaluate, run_probe


def main() -> None:
    """Run the script."""
    parser = make_parser(__doc__)
    run = open_run(parser, parser.parse_args())
    try:
        run_probe(run)
    except FileNotFoundError as error:
        parser.error(str(error))
    run_evaluate(run)
    if distributed.rank() == 0:
        print(f"\n{caveat(run)}\n\n{format_table(run.results)}")
        print_skipped(run)


if __name__ == "__main__":
    main()
