# Everything runs in a virtual environment of this clone; nothing is asked, no terminal is needed.
# `make demo` installs only what the demo needs, `make check` and `make test` add the tools for developers.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
DEMO_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
PYTEST_ARGS ?=
UV_VERSION := 0.13.9
HELM_VERSION := v3.22.0

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## "; print "Targets:" } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: DEMO_ARGS="--seconds 30", BENCH_ARGS, CHAOS_ARGS, PYTEST_ARGS="-k name", BASE_PYTHON=python3.12'

.PHONY: demo
demo: $(VENV)/.demo ## The whole job on this machine: simulator, embedded Kafka, callback receiver, relay
	@$(PYTHON) -m relay demo $(DEMO_ARGS)

.PHONY: test
test: check tools ## Checks, then every test: unit, deploy, conformance, integration, crash, e2e
	@$(PYTHON) -m tests.suites $(PYTEST_ARGS)

.PHONY: coverage
coverage: tools ## The same tests, counting the branches they take; slower
	@RELAY_COVERAGE=1 $(PYTHON) -m tests.suites $(PYTEST_ARGS)

.PHONY: check
check: $(VENV)/.dev ## Format, lint, types and layers; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(VENV)/.dev ## Format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.dev ## Throughput, CPU, memory and delay beside the floor; prints, asserts nothing
	@$(PYTHON) -m tests.bench $(BENCH_ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev ## Break everything around the relay for minutes, then count; prints seed and verdict
	@$(PYTHON) -m tests.chaos $(CHAOS_ARGS)

.PHONY: lock
lock: .cache/uv-$(UV_VERSION)/bin/uv ## Pin requirements*.txt anew from pyproject.toml
	@pin() { .cache/uv-$(UV_VERSION)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	    --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' "$$@"; }; \
	pin pyproject.toml --extra demo --extra dev --group build -o requirements-dev.txt; \
	pin pyproject.toml --extra demo --group build -c requirements-dev.txt -o requirements-demo.txt; \
	pin pyproject.toml -c requirements-dev.txt -o requirements.txt; \
	pin --group build -c requirements-dev.txt -o requirements-build.txt

.PHONY: tools
tools: $(VENV)/.dev ## Fetch helm and promtool into .cache for the chart's tests, where this machine can
	@HELM_VERSION=$(HELM_VERSION) tests/deploy/fetch-tools

.PHONY: clean
clean: ## Remove what was built and cached, but not the virtual environment
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist .coverage htmlcov

# --- the virtual environment ------------------------------------------------------------------------------------
# A stamp is newer than what it was made from; the installation on top of an older one moves it to the new pins.

INSTALL = $(PYTHON) -m pip install --quiet --require-hashes --prefer-binary --no-compile
INSTALL_RELAY = $(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .

$(VENV)/.demo: requirements-demo.txt pyproject.toml | $(PYTHON)
	@if [ $(VENV)/.dev -nt requirements-dev.txt ] && [ $(VENV)/.dev -nt pyproject.toml ]; then touch $@; exit; fi; \
	echo 'Installing what the demo needs into $(VENV) ...'; \
	$(INSTALL) -r requirements-demo.txt && $(INSTALL_RELAY) && touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(PYTHON)
	@echo 'Installing what development needs into $(VENV) ...'; \
	$(INSTALL) -r requirements-dev.txt && $(INSTALL_RELAY) && touch $@

# First a Python that all pinned packages have wheels for, then any that is new enough and may have to compile some.
$(PYTHON):
	@for below in 15 99; do \
	    for candidate in $(BASE_PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	        if "$$candidate" -c "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, $$below))" \
	            2>/dev/null; then \
	            echo "Creating $(VENV) with $$("$$candidate" --version) ..."; \
	            exec "$$candidate" -m venv $(VENV); \
	        fi; \
	    done; \
	done; \
	echo 'relay needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv), and found none.' >&2; \
	echo 'Name one: make BASE_PYTHON=/path/to/python3.11 ...' >&2; exit 1

.cache/uv-$(UV_VERSION)/bin/uv: | $(PYTHON)
	@$(PYTHON) -m venv .cache/uv-$(UV_VERSION) && .cache/uv-$(UV_VERSION)/bin/pip install --quiet uv==$(UV_VERSION)
