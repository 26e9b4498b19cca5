"""Stages 3 and 4: probe the pre-trained backbones of a run, and judge them on scored images."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.command_line import run_pipeline

if __name__ == "__main__":
    run_pipeline(__doc__, stages=["probe", "evaluate"])
