# Every target makes the virtual environment it needs; later runs find it up to date and start at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: pipeline test lint types docs benchmarks wheel clean
.PRECIOUS: $(VENV)/.installed-%

pipeline: $(VENV)/.installed-examples
	$(BIN)/python examples/nriqa_pipeline.py

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

benchmarks: $(VENV)/.installed-benchmarks
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.installed-dev
	rm -rf build dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist docs/_build docs/auto_examples

# The package with one of its extras, e.g. .venv/.installed-test.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --editable '.[$*]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
