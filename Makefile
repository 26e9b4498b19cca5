# Every target makes the virtual environment it needs; later runs find it up to date and start at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: pipeline test test-fast fuzz long-run test-floors test-newest coverage cuda lint types docs benchmarks wheel clean
.PRECIOUS: $(VENV)/.installed-%

pipeline: $(VENV)/.installed-examples
	$(BIN)/python examples/nriqa_pipeline.py

# Two processes of one thread each: the tests are many and small. Those of a file share what takes long to make, in one process.
PARALLEL := -n 2 --dist loadfile

test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

test-fast: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -m "not slow"

# For an hour or more: a million calls, 10,000 mutated files of each format, and dozens of ends of a run at any write.
fuzz: export DSMIX_FUZZ ?= 10000
fuzz: export DSMIX_AUG_KILLS ?= 30
fuzz: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout=0 tests/fuzz tests/photos/test_photo_fuzz.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout=0 tests -k "ended_and_started or ended_at_any or kills_change_nothing"

long-run: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/long_run.py --batches 20000 --photos 10000

coverage: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) --cov=dsmix_aug --cov-report=term:skip-covered

# The tests with the oldest packages that setup.cfg allows, and with the newest that there are.
test-floors: PYTHON = python3.10
test-floors:
	$(PYTHON) -m venv .venv-floors
	python3 .ci/floors.py > .venv-floors/constraints.txt
	.venv-floors/bin/python -m pip install --constraint .venv-floors/constraints.txt --editable '.[test]'
	OMP_NUM_THREADS=1 .venv-floors/bin/python -m pytest $(PARALLEL)

test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --upgrade --upgrade-strategy eager --editable '.[test]'
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest $(PARALLEL)

# On a machine with a GPU: its tests, in which any wait of the host is an error, and all benchmarks, into one file.
cuda: $(VENV)/.installed-dev
	bash .ci/cuda $(BIN)/python runs/cuda.txt

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Spelling, then the pages: warnings are errors, among them dead links within the pages and pictures without alternative.
docs: $(VENV)/.installed-docs
	$(BIN)/codespell
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

benchmarks: $(VENV)/.installed-benchmarks
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.installed-dev
	rm -rf build dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) .venv-floors .venv-newest build dist docs/_build docs/_generated docs/auto_examples

# The package with one of its extras, e.g. .venv/.installed-test.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --editable '.[$*]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
