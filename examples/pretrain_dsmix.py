"""Stage 2: pre-train the backbone on DSMix batches, once for each row of the preset's comparison."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.command_line import run_pipeline

if __name__ == "__main__":
    run_pipeline(__doc__, stages=["pretrain"])
