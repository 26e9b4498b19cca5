"""Train and judge a no-reference image quality model from end to end: all four stages, a table and a report.

Without arguments it runs the preset demo on the photos inside scikit-image, in minutes on two CPU cores. Started
again with the same name, it goes on where it stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

from dsmix_aug.nriqa.command_line import run_pipeline

if __name__ == "__main__":
    run_pipeline(__doc__)
