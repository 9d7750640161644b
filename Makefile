# Everything runs in .venv, which each target sets up by itself the first time and leaves alone afterwards.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help install demo test check docs format bench dist clean

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

install: $(READY)  ## Set up .venv

demo: $(READY)  ## Run the whole loop on built-in data, offline (under four minutes on two cores)
	$(BIN)/diverseevol demo --out runs/demo

test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: $(READY)  ## Format check, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)  ## Build the documentation into site/, strictly; site/index.html opens from disk
	$(BIN)/python docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean

format: $(READY)  ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## Run every benchmark
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

dist: $(READY)  ## Build the sdist and, from it, the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean:  ## Delete .venv and what the tools left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist site docs/reference
