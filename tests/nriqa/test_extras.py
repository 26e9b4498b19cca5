"""What each room asks for: scoring takes little, and what is missing is named with the line that installs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NOT_FOR_SCORING = ("pandas", "sklearn", "threadpoolctl", "tensorboard", "matplotlib", "openpyxl")


def run_without(modules, code):
    """Run code in a new process where some modules cannot be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_scoring_and_heat_maps_need_only_the_extra_score(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (64, 70, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    arguments = [str(tmp_path), "--csv", str(tmp_path / "scores.csv"), "--maps", str(tmp_path / "maps")]
    script = str(ROOT / "examples" / "score_images.py")
    code = f"import runpy; sys.argv = {[script, *arguments]!r}; runpy.run_path({script!r}, run_name='__main__')"
    finished = run_without(NOT_FOR_SCORING, code)
    assert finished.returncode == 0, finished.stderr
    assert "1 photo(s) scored" in finished.stdout
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 2
    assert len(list((tmp_path / "maps").iterdir())) == 1


CHECK_ROOMS = """
import importlib
for missing, module, name, extra in {rooms!r}:
    sys.modules[missing] = None
    try:
        getattr(importlib.import_module(module), name)
    except ImportError as error:
        expected = f"this needs {{missing}}: pip install 'dsmix-aug[{{extra}}]'"
        assert str(error) == expected, (module, str(error))
    else:
        raise AssertionError(module)
    for loaded in [name for name in sys.modules if name == missing or name.startswith("dsmix_aug.nriqa")]:
        del sys.modules[loaded]
"""


@pytest.mark.slow
def test_a_missing_package_is_named_with_its_extra():
    rooms = [
        ("timm", "dsmix_aug.nriqa.quality_model", "QualityModel", "score"),
        ("pandas", "dsmix_aug.nriqa.datasets", "LOADERS", "pipeline"),
        ("sklearn", "dsmix_aug.nriqa.runs.folder", "RunFolder", "pipeline"),
        ("tensorboard", "dsmix_aug.nriqa.stages", "STAGES", "pipeline"),
        ("matplotlib", "dsmix_aug.nriqa.report.page", "write_report", "report"),
    ]
    finished = run_without((), CHECK_ROOMS.format(rooms=rooms))
    assert finished.returncode == 0, finished.stderr


def test_an_unknown_name_of_the_datasets_is_an_attribute_error():
    import dsmix_aug.nriqa.datasets as datasets

    assert "koniq10k" in datasets.LOADERS
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        datasets.nothing  # noqa: B018
