"""Score the quality of photos, and draw where each looks distorted: ``dsmix-aug score``, from a clone."""

import sys

from dsmix_aug.cli.main import main

if code := main(["score", *sys.argv[1:]]):
    sys.exit(code)
