"""The names of datasets: those that have a loader, and what any may be called; it imports nothing that takes time."""

from __future__ import annotations

import re

#: The datasets of :data:`~dsmix_aug.nriqa.datasets.registry.LOADERS`.
LOADER_NAMES = ("live", "csiq", "tid2013", "kadid10k", "live_challenge", "koniq10k", "flive", "biq2021")
#: The names of datasets are part of file names and of pictures.
DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_dataset_name(name: str) -> None:
    """Check that a name can be part of a file's name and of a picture's text.

    Raises:
        ValueError: If it is not 1 to 64 of the letters a to z in either case, digits, ``.``, ``_`` and ``-``, the first
            a letter or a digit.

    Example:
        >>> from dsmix_aug.nriqa.datasets import check_dataset_name
        >>> check_dataset_name("koniq10k")
        >>> check_dataset_name("../koniq")
        Traceback (most recent call last):
        ValueError: the name of a dataset should be 1 to 64 letters, digits, ., _ and -, ... got '../koniq'
    """
    if not DATASET_NAME.fullmatch(name):
        raise ValueError(
            "the name of a dataset should be 1 to 64 letters, digits, ., _ and -, the first a letter or a digit, "
            f"got {name!r}"
        )
