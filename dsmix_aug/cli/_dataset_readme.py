"""The README of a dataset that ``make-dataset`` made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dsmix_aug.cli._dataset_plan import Plan

TEXT = """\
# Distorted photos

Made by `dsmix-aug make-dataset`, after KADID-10k and KADIS-700k (Lin, Hosu, Saupe, QoMEX 2019). The photos, and the
terms on which they may be used, are those of whoever gave them to the command.

| file | content |
| --- | --- |
| `references/` | each photo as it was distorted |
| `images/` | its distorted images, PHOTO-TYPE-LEVEL |
| `scores.csv` | one line for each image |
| `skipped.csv` | photos that could not be used, and why; {skipped} of {photos} |
| `dataset.json` | what the command was asked for, and the versions that made the files |

Columns of `scores.csv`:

- `image`, `reference`: files in this folder.
- `type`, `level`: the distortion, one of the types below at a level from 1 to 5. Higher is stronger, but for
  `mean_shift` and `contrast_change`, which go from one direction to the other.
- `value`: the type's parameter at this level; the table below tells what it is.
- `seed`: what the type drew from: `DistortionBank()[type](reference, level,
  generator=torch.Generator().manual_seed(seed))` gives the image's pixels again, before they were encoded.
- `opinion`: the mean opinion of KADID-10k's observers for this type and level, over 81 other photos: 1 bad to 5
  excellent. Nobody has looked at these images.

{encoding}

## Types

| type | parameter | levels 1 to 5 |
| --- | --- | --- |
{types}

## Settings and versions

```json
{settings}
```
"""
ENCODINGS = {
    ".jpg": (
        "All images, references too, are JPEG files of quality 95 at full colour resolution (4:4:4). That is a slight\n"
        "distortion of its own: PNG files (`--format png`) have none."
    ),
    ".png": "All images are PNG files: their pixels are exact.",
}


def describe(plan: Plan, settings: Mapping[str, Any], skipped: int) -> str:
    """Return the README, in Markdown, which depends on nothing but the arguments."""
    types = [
        f"| `{name}` | {distortion.parameter} | {', '.join(f'{value:g}' for value in distortion.values)} |"
        for name, distortion in plan.bank.items()
    ]
    return TEXT.format(
        skipped=skipped,
        photos=settings["photos"],
        encoding=ENCODINGS[plan.suffix],
        types="\n".join(types),
        settings=json.dumps(settings, indent=2),
    )
