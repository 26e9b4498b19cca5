"""Stage 2 alone: pre-train the backbone on DSMix batches, once for each row of the preset's comparison."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.command_line import make_parser, open_run, print_skipped
from dsmix_aug.nriqa.stages import run_pretrain


def main() -> None:
    """Run the script."""
    parser = make_parser(__doc__)
    run = open_run(parser, parser.parse_args())
    run_pretrain(run)
    if distributed.rank() == 0:
        for path in sorted((run.folder / "pretrain").glob("*/backbone.safetensors")):
            print(f"Backbone: {path.resolve()}")
        print_skipped(run)


if __name__ == "__main__":
    main()
