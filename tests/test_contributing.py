"""The code in CONTRIBUTING.md, used where its recipes put it."""

import doctest
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsmix_aug import DistortionBank, DSMix, SensitivityMap
from dsmix_aug.distortions import _distortion, brightness
from dsmix_aug.mixing import functional
from dsmix_aug.nriqa.runs import rows

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def code_of(recipe: str) -> str:
    """Return the code block of the section with this title."""
    section = PAGE.split(f"\n## {recipe}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    return textwrap.dedent(block)


def in_module(module: Any, recipe: str) -> dict[str, Any]:
    """Run a recipe's code as if it stood at the end of a module, and return its names."""
    names = dict(vars(module))
    exec(code_of(recipe), names)
    return names


def test_distortion(monkeypatch):
    monkeypatch.setattr(_distortion, "REGISTRY", dict(_distortion.REGISTRY))
    monkeypatch.setattr("dsmix_aug.distortions.bank.REGISTRY", _distortion.REGISTRY)
    names = in_module(brightness, "A new distortion")
    vignette = DistortionBank(["vignette", "jpeg"])["vignette"]

    images = np.random.default_rng(0).random((5, 3, 9, 14))
    darkened = vignette(torch.from_numpy(images), level=[1, 2, 3, 4, 5])

    for image, result, strength in zip(images, darkened, vignette.values, strict=True):
        for y, x in np.ndindex(9, 14):
            squared_distance = ((y / 4 - 1) ** 2 + (x / 6.5 - 1) ** 2) / 2
            expected = image[:, y, x] * (1 - strength * squared_distance)
            np.testing.assert_allclose(result[:, y, x], expected, atol=1e-12)

    (example,) = doctest.DocTestFinder().find(names["Vignette"], "Vignette", module=False, globs=names)[:1]
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=1)


def test_weighting(monkeypatch):
    names = in_module(functional, "A new weighting of DSMix")
    monkeypatch.setitem(functional.WEIGHTINGS, "half", names["_half"])
    batch = torch.rand(4, 3, 64, 64), torch.arange(4), SensitivityMap(torch.rand(4, 4, 4))
    drawn = {
        weighting: DSMix(num_classes=4, weighting=weighting)(*batch, generator=torch.Generator().manual_seed(2))[1]
        for weighting in ("half", "mass", "area")
    }
    assert not torch.allclose(drawn["mass"], drawn["area"])
    torch.testing.assert_close(drawn["half"], (drawn["mass"] + drawn["area"]) / 2)


def test_compared_model():
    ((name, entry),) = eval(f"{{{code_of('A new compared model of the pipeline')}}}", dict(vars(rows))).items()
    assert name not in rows.PRETRAININGS
    assert entry == rows.Pretraining(entry.title, mixing="dsmix", weighting="retained")


def test_paths_exist():
    quoted = " ".join(re.findall(r"`([^`\n]+)`", PAGE)).split()
    paths = [path for path in quoted if re.match(r"(dsmix_aug|tests|docs|examples)/", path) and "NAME" not in path]
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists() and path != "docs/_build/html"] == []
