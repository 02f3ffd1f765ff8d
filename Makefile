PYTHON ?= python3
VENV := .venv
CLIENTS := .venv-clients
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CODE := schemas domain telemetry migrations providers sinks streams sandbox agents ops tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help install demo up down test unit conformance system check fix docs bench lock clean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tapeflow needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.12, say."; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }

$(VENV)/.sandbox: requirements/sandbox.lock pyproject.toml | $(BIN)/python
	@[ -e $(VENV)/.dev ] || deploy/install.sh $(BIN)/python requirements/sandbox.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	@deploy/install.sh $(BIN)/python requirements/dev.lock
	@touch $@ $(VENV)/.sandbox

$(CLIENTS)/.done: requirements/conformance.lock pyproject.toml | $(BIN)/python
	@$(PYTHON) -m venv $(CLIENTS)
	@deploy/install.sh $(CLIENTS)/bin/python requirements/conformance.lock
	@touch $@

install: $(VENV)/.dev ## Set up the environment for development

demo: $(VENV)/.sandbox ## See it run: a market, a broker, a database, a worker, on this machine (DEMO_SECONDS=30 ends it)
	@exec $(BIN)/tapeflow demo

up: $(VENV)/.sandbox ## Start a broker and a database to work with
	@$(BIN)/tapeflow up

down: ## Stop what `make up` started
	@$(BIN)/tapeflow down

test: unit conformance system ## Run all tests

system: $(VENV)/.dev ## Run the tests on a real Kafka and TimescaleDB, real workers among them
	@$(BIN)/python -m pytest --ignore=tests/unit --ignore=tests/architecture

conformance: $(CLIENTS)/.done ## Hold the vendors' own clients against the emulator
	@# warnings are the clients' own: deprecated parts, sockets left to the collector
	@$(CLIENTS)/bin/python -m pytest -q -W ignore --confcutdir=tests/conformance tests/conformance $(WRITE)

unit: $(VENV)/.dev ## Run the tests that need no network
	@$(BIN)/python -m pytest -q -n auto --dist worksteal tests/unit tests/architecture

check: $(VENV)/.dev ## Format, lint, types, imports, unit tests, docs: under a minute
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/tapeflow schema export --check
	@$(BIN)/python -m pytest -q -n auto --dist worksteal tests/unit tests/architecture

fix: $(VENV)/.dev ## Format and mend what can be mended
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## Write the reference that is made from code
	@$(BIN)/tapeflow schema export

bench: $(VENV)/.dev ## Measure the worker against a bare loop and stock Faust, in one run
	@$(BIN)/python -m benchmarks.run
	@$(BIN)/python -m benchmarks.parse
	@$(BIN)/python -m benchmarks.jobs
	@$(BIN)/python -m benchmarks.quotes

lock: $(VENV)/.dev ## Compile requirements/*.lock anew (needs uv)
	@deploy/lock.sh

clean: ## Remove the environment and caches; data of `make up` stays
	@rm -rf $(VENV) $(CLIENTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis
