"""Runs: their configs and folders, and what is in them."""

from dsmix_aug.nriqa.base.extras import require

require("pipeline", "pandas", "sklearn", "tensorboard")
