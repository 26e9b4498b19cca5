"""Every test that docs/promises.rst or the Makefile names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "promises.rst").read_text(encoding="utf-8")
NAMED = set(re.findall(r"``((?:tests/[\w/.]+)|(?:test_\w+(?:\.py)?))``", PAGE))
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}


def test_the_page_names_tests():
    assert len(NAMED) > 30


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_test_is_there(name):
    if "/" in name:
        assert (ROOT / name).exists()
    elif name.endswith(".py"):
        assert any(path.endswith(f"/{name}") for path in SOURCES)
    else:
        assert any(f"def {name}(" in source for source in SOURCES.values())


def test_make_names_tests_that_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in re.findall(r"tests/[\w/.]+", makefile):
        assert (ROOT / path).exists(), path
    (chosen,) = re.findall(r'-k "([\w ]+)"', makefile)
    for part in chosen.split(" or "):
        assert any(re.search(rf"def test_\w*{part}", source) for source in SOURCES.values()), part
