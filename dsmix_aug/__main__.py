"""``python -m dsmix_aug``: the command ``dsmix-aug``."""

import sys

from dsmix_aug.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
