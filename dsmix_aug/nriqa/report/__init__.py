"""Reports of finished runs: the page, its pictures, and the comparison of runs."""

from dsmix_aug.nriqa.base.extras import require

require("report", "matplotlib")
