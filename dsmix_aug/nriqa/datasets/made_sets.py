"""The scored datasets that are made of the run's pristine photos, by name."""

from __future__ import annotations

from dsmix_aug.nriqa.datasets.estimated_photos import ESTIMATED_NAME, make_estimated_photos
from dsmix_aug.nriqa.datasets.opinion_photos import OPINIONS_NAME, make_opinion_photos

#: Each makes a dataset of the pristine photos: ``--data NAME=N``.
MADE_SETS = {OPINIONS_NAME: make_opinion_photos, ESTIMATED_NAME: make_estimated_photos}
