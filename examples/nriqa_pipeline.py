"""Train and judge a no-reference image quality model from end to end: all four stages, a table and a report.

Without arguments it runs the preset ``demo`` on the photos inside scikit-image, in minutes on two CPU cores. Started
again with the same name, it goes on where it stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.command_line import make_parser, open_run, print_skipped
from dsmix_aug.nriqa.report.page import caveat, format_table, write_report
from dsmix_aug.nriqa.stages import STAGES


def main() -> None:
    """Run the script."""
    parser = make_parser(__doc__)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="stages to run")
    args = parser.parse_args()
    run = open_run(parser, args)

    for number, stage in enumerate(args.stages, start=1):
        if distributed.rank() == 0:
            print(f"\n[{number}/{len(args.stages)}] {stage}", flush=True)
        try:
            STAGES[stage](run)
        except FileNotFoundError as error:  # an earlier stage is missing
            parser.error(str(error))

    if distributed.rank() == 0:
        if all(map(run.is_finished, ("dsm", "evaluate"))):
            report = write_report(run)
            print(f"\n{caveat(run)}\n\n{format_table(run.results)}\n\nReport: {report.resolve()}")
        print_skipped(run)


if __name__ == "__main__":
    main()
