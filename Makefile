# One door for the loop. Every target installs what it needs into .venv, and only when something has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-quick check format bench docs pin clean

help:  ## show what one can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv with everything pinned in requirements/dev.txt

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)  ## connect, sync, break things and disconnect against simulated providers, in under two minutes
	@$(BIN)/crm-sync demo

up: $(READY)  ## start everything for development and keep it running
	@$(BIN)/crm-sync up

test: $(READY)  ## run every test, on a real Postgres and a real Redis
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-quick: $(READY)  ## run the tests that take seconds
	@$(BIN)/pytest -m 'not slow' $(PYTEST_ARGS)

check: $(READY)  ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY)  ## let ruff put the code in order
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(READY)  ## measure, as ratios within one run; see docs/benchmarks.md
	@$(BIN)/python -m bench

docs: $(READY)  ## write the generated pages of docs/reference
	@$(BIN)/python -m docs.generate

pin: $(READY)  ## pin the newest versions that pyproject.toml allows (needs uv)
	@uv pip compile pyproject.toml --extra embedded --group dev --group bench --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements/dev.txt

# Root's servers keep their data outside this folder, so they are told to remove it; they refuse while somebody uses them.
clean:  ## remove .venv, caches and the development data
	@test ! -d .crm-sync/servers || $(BIN)/python -m worker.embedded remove .crm-sync/servers
	@rm -rf .crm-sync $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
