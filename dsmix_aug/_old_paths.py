"""Module names of release 0.1.0, so that what was pickled then loads today.

A pickle names the module of each class. Imported once, by the package itself, this makes the old names known.
"""

from __future__ import annotations

import sys

from dsmix_aug.maps import collate, estimator, sensitivity, tv_tensors
from dsmix_aug.mixing import labels, transform

sys.modules.update(
    {
        "dsmix_aug._labels": labels,
        "dsmix_aug.collate": collate,
        "dsmix_aug.estimator": estimator,
        "dsmix_aug.mix": transform,
        "dsmix_aug.sensitivity": sensitivity,
        "dsmix_aug.tv_tensors": tv_tensors,
    }
)
