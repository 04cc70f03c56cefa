# `make separate` separates the example recording, `make test` runs the tests, `make check` runs all checks.
# Everything is installed into a virtual environment, once, and again when what is to be installed changes.

PYTHON ?= python3
VENV ?= .venv
WHEEL_VENV ?= $(VENV)-wheel
PYTEST_ARGS ?= -n auto
SEEDS ?= 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20

BIN = $(VENV)/bin
# pip compiles one module after the other; those of the tests are compiled side by side.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
EXAMPLE = examples/band/mixture.flac
STEMS = separated

.PHONY: separate test test-parity test-slow test-rest test-all test-seeds check lint format types layers docs docs-check wheel wheel-check release-check example clean

separate: $(VENV)/.installed
	$(BIN)/soloist separate $(EXAMPLE) -o $(STEMS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow and not parity"

# The reference vectors: needs the folder that SOLOIST_SHARED names.
test-parity: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m parity

# Those that take long and say little more.
test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "slow and not parity"

# Both: what `make test` leaves out.
test-rest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "slow or parity"

test-all: $(VENV)/.installed-dev
	SOLOIST_TEST_PROFILE=nightly $(BIN)/python -m pytest $(PYTEST_ARGS)

# Bounds that hold by luck fail with one of these.
test-seeds: $(VENV)/.installed-dev
	for seed in $(SEEDS); do \
		SOLOIST_TEST_SEED=$$seed $(BIN)/python -m pytest $(PYTEST_ARGS) --hypothesis-seed=$$seed -m "not slow and not parity" || exit 1; \
	done

check: lint types layers docs-check docs test wheel-check

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs-check: $(VENV)/.installed-dev
	$(BIN)/interrogate src

# The site, in site/: no network, no warning.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist

# The wheel in an environment of its own, called from an empty folder: nothing of the repository is on its path.
wheel-check: wheel
	rm -rf $(WHEEL_VENV)
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python $(PIP_INSTALL) dist/*.whl
	sh .ci/check_wheel.sh $(WHEEL_VENV)/bin/soloist $(EXAMPLE)

# What is uploaded: the wheel, and the sdist from which the same wheel can be built.
release-check: wheel-check
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

example: $(VENV)/.installed
	$(BIN)/python examples/make_example.py

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(STEMS) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python $(PIP_INSTALL) --editable ".[dev]"
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true  # templates are no Python
	touch $@
