# The course's commands. `make` alone lists them. Needs Python 3.11 to 3.14 with venv and pip, nothing else.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first of these that is new enough makes the environment; `make lab PYTHON=/path/to/python3.12` names another.
PYTHON ?= python3.13 python3.12 python3.11 python3.14 python3 python
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))

# Tests: short fits, no windows, and one thread for each of JOBS processes instead of all threads for each.
JOBS ?= 2
INR_BUDGET ?= quick
TESTS = env INR_BUDGET=$(INR_BUDGET) MPLBACKEND=Agg OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# What the tests cover is counted where that is free, with the sys.monitoring of Python 3.12 (COVERAGE=--cov asks for it anyway).
COVERAGE = $(shell $(BIN)/python -c 'import sys; print("--cov --cov-report=term" * (sys.version_info >= (3, 12)))')

# Runs $(1), says how long it took, and ends as it ended.
define timed
@start=$$(date +%s); $(1); status=$$?; seconds=$$(($$(date +%s) - start)); \
echo "$@: $$((seconds / 60)) min $$((seconds % 60)) s"; exit $$status
endef

.DEFAULT_GOAL := help
.PHONY: help install lab doctor test test-fast test-full notebooks timings site check lint types contracts format clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with the pinned packages and the course (the others do it by themselves)

# Terminals and cells find `inr`, and both start in the notebooks' folder, so that a file's name means the same in both. The
# shell is named because JupyterLab, started without a terminal, would take a login shell, and that sets PATH anew.
lab: $(STAMP) ## Open JupyterLab on the notebooks (ARGS=--no-browser and the like are passed on)
	@bin=$$(cd "$(BIN)" && pwd) && root=$$PWD && cd $(or $(wildcard notebooks),.) && \
	PATH="$$bin:$$PATH" jupyter lab --ServerApp.root_dir="$$root" --LabApp.default_url=/lab$(if $(wildcard notebooks),/tree/notebooks) \
		--ServerApp.terminado_settings="shell_command=$${SHELL:-/bin/sh}" $(ARGS)

doctor: $(STAMP) ## Say what works on this machine, and the cure for what does not
	@$(BIN)/inr doctor

test: $(STAMP) ## Run all tests, and say what they cover (ARGS="-k siren" and the like are passed on)
	$(call timed,$(TESTS) $(COVERAGE) $(ARGS))

test-fast: $(STAMP) ## Run the tests that are not marked slow
	$(call timed,$(TESTS) -m "not slow" $(ARGS))

test-full: $(STAMP) ## Run all tests, and the notebooks, with the budget of a laptop
	@$(MAKE) --no-print-directory test INR_BUDGET=laptop

notebooks: $(STAMP) ## Build the notebooks from their lessons, executing what changed (ARGS="--only 02")
	$(call timed,$(BIN)/python -m tutorial_lib.course.builder build $(ARGS))

timings: $(STAMP) ## Measure the seconds of each notebook, and write them into the pages that show them
	$(call timed,$(BIN)/python -m tutorial_lib.course.timings $(ARGS))

site: $(STAMP) ## Build the site, build/site/html/index.html, from notebooks, pages and docstrings; needs no network
	$(call timed,$(BIN)/python docs/site/make.py)

check: lint types contracts ## Check style, types and which room imports which, in seconds

lint: $(STAMP) ## Check the code's style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## Check the types of the library
	$(BIN)/basedpyright --pythonpath $(BIN)/python

contracts: $(STAMP) ## Check which room of the library imports which
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## Bring the code into its format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## Remove caches and build products; the environment and downloaded pictures stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name $(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print | xargs rm -rf

# A virtual environment, because a system's own Python may refuse packages. The lock file names every package, so the
# course itself is installed without looking for others. The stamp is written last: a run cut short is done again.
$(STAMP): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c 'import pip; $(USABLE)' 2>/dev/null; then \
		for python in $(PYTHON); do $$python -c '$(USABLE)' 2>/dev/null && break; python=; done; \
		test -n "$$python" || { echo "error: found no Python 3.11 to 3.14 with venv (on Debian and Ubuntu: apt install python3-venv); name one with PYTHON=/path/to/python" >&2; exit 1; }; \
		echo "making $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -e .
	@touch $@
