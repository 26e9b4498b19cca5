"""What the package promises as a whole: its public names, its imports, its documentation."""

import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from factories import run_script

import dsmix_aug
from dsmix_aug import DistortionBank

ROOT = Path(__file__).parent.parent

IMPORT_THE_LIBRARY = """
import importlib, sys

sys.modules.update(dict.fromkeys({extras}))  # None: as if it were not installed
for module in {library}:
    importlib.import_module(module)
assert not [name for name in sys.modules if name.startswith("dsmix_aug.nriqa")], "the library imports the pipeline"
for command in ("_distort", "_info", "_make_dataset", "_map"):
    importlib.import_module(f"dsmix_aug.cli.{{command}}")
print("imported")

import dsmix_aug
from dsmix_aug import *
try:
    dsmix_aug.QualityModel
except ImportError as error:
    print(error)
"""
RECIPES = ("estimate_opinions", "map_cache", "map_variation", "worker_independent_batches")
IMPORT_NAMES = {"scikit-learn": "sklearn"}


def extras() -> set[str]:
    """Return the import names of what the extras need."""
    required = importlib.metadata.requires("dsmix-aug") or []
    names = {re.match(r"[\w.-]+", entry)[0] for entry in required if "extra ==" in entry} - {"dsmix-aug"}
    return {IMPORT_NAMES.get(name, name).replace("-", "_") for name in names}


def test_public_names_are_those_of_the_design():
    names = {
        "DSMix", "DistortionBank", "RandomDistortion", "DSMEstimator", "sensitivity_map", "Reference", "SensitivityMap"
    }  # fmt: skip
    assert names <= set(dsmix_aug.__all__)
    for name in dsmix_aug.__all__:
        assert hasattr(dsmix_aug, name)
    star: dict[str, object] = {}
    exec("from dsmix_aug import *", star)
    assert set(dsmix_aug.__all__) <= set(star)


@pytest.mark.slow
def test_library_imports_without_the_extras_and_names_the_one_of_the_quality_model():
    blocked = extras()
    assert {"timm", "sklearn", "pandas", "matplotlib", "pytest"} <= blocked
    files = [path.relative_to(ROOT) for path in (ROOT / "dsmix_aug").rglob("*.py")]
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]
    above = ("dsmix_aug.nriqa", "dsmix_aug.cli", "dsmix_aug.__main__")
    library = [module for module in modules if not module.startswith(above)]
    code = IMPORT_THE_LIBRARY.format(extras=repr(blocked), library=repr(library))
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    imported, message = finished.stdout.splitlines()
    assert imported == "imported"
    assert re.match(r"this needs .*timm.*: pip install 'dsmix-aug\[score\]'", message)


def test_quality_model_is_imported_when_it_is_asked_for():
    from dsmix_aug import QualityModel
    from dsmix_aug.nriqa import quality_model

    assert QualityModel is dsmix_aug.QualityModel is quality_model.QualityModel
    with pytest.raises(AttributeError, match="has no attribute 'QualityModels'"):
        dsmix_aug.QualityModels  # noqa: B018


def test_one_version_everywhere():
    version = dsmix_aug.__version__
    assert importlib.metadata.version("dsmix-aug") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", sorted(set(dsmix_aug.__all__) - {"__version__"}))
def test_public_docstrings_have_an_example(name: str):
    assert "Example:\n" in inspect.getdoc(getattr(dsmix_aug, name))


@pytest.mark.parametrize("name", list(DistortionBank()))
def test_distortions_name_source_and_deviation(name: str):
    documented = inspect.getdoc(type(DistortionBank()[name]))
    for section in ("Source:", "Deviation:", "Example:"):
        assert section in documented


@pytest.mark.parametrize(
    "script",
    [
        "examples/collate_quickstart.py",
        *(f"docs/recipes/{name}.py" for name in RECIPES),
    ],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # pytest-xdist's threads
def test_documented_scripts_run(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_script(script)
    assert capsys.readouterr().out


@pytest.mark.slow
def test_import_is_cheap_and_old_names_are_lazy():
    code = (
        "import sys, dsmix_aug; assert 'torch' not in sys.modules; "
        "from dsmix_aug.mix import DSMix; from dsmix_aug.tv_tensors import Reference; "
        "assert DSMix is dsmix_aug.DSMix and Reference is dsmix_aug.Reference; "
        "assert dsmix_aug.distortions.register and dsmix_aug.functional.dsmix and 'DSMix' in dir(dsmix_aug)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dsmix_aug' has no attribute 'nothing'"):
        _ = dsmix_aug.nothing


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # raised inside the exporter
@pytest.mark.skipif(torch.__version__ < (2, 7), reason="PyTorch 2.6 exports the model for one length of batches only")
def test_quality_model_is_exported(tmp_path: Path, capsys):
    """The file's scores are the model's, for a batch of another length."""
    run_script("docs/recipes/export_quality_model.py", tmp_path / "model.pt2", "--size", "48", "64")
    difference = re.search(r"largest difference .*: (\S+)", capsys.readouterr().out)[1]
    assert float(difference) < 1e-5
    assert (tmp_path / "model.pt2").is_file()


def test_quality_model_is_a_metric(capsys):
    pytest.importorskip("torchmetrics")
    run_script("docs/recipes/quality_metric.py")
    printed = capsys.readouterr().out
    values = [float(value) for value in re.findall(r"level \d: (\S+) \(mean of 2 images\)", printed)]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
