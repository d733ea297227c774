# Every habit of this repository. `make help` lists them; each does its own set-up, quickly the second time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := libs/contracts libs/common libs/embedded services tests

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-only lint format bench bench-gateway lock clean

help: ## list these habits
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/services.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (once; takes a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/services.txt -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## make the virtual environment

run: $(READY) ## bring up the whole platform on this machine; Ctrl-C stops it
	@$(BIN)/python -m embedded run

demo: $(READY) ## turn a raw file into a served model; starts a platform if none runs
	@$(BIN)/python -m embedded.demo $(ARGS)

test: lint test-only ## lint, then every test, against real servers

test-only: $(READY)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(READY) ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check $(PACKAGES)
	@$(BIN)/ruff format --check $(PACKAGES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY) ## format the code and sort the imports
	@$(BIN)/ruff check --fix-only --quiet $(PACKAGES)
	@$(BIN)/ruff format $(PACKAGES)

bench: $(READY) ## measure, side by side with a bare peer where there is one
	@$(BIN)/python -m tests.bench

bench-gateway: $(READY) $(VENV)-litellm $(VENV)-tensorzero ## measure beside other LLM gateways, in one run
	@$(BIN)/python -m tests.bench.gateways --litellm $(VENV)-litellm --tensorzero $(VENV)-tensorzero $(ARGS)

$(VENV)-%: requirements/bench-%.txt
	@echo "Installing $* into $@ (once) ..."
	@$(PYTHON) -m venv $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

lock: ## pin every package that requirements/*.in bring
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet -r requirements/services.in
	@$(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements/services.txt
	@$(VENV)-lock/bin/python -m pip install --quiet -c requirements/services.txt -r requirements/dev.in
	@$(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -vxFf requirements/services.txt > requirements/dev.txt
	@rm -rf $(VENV)-lock

clean: ## remove the environment, caches and the data of `make run`
	@rm -rf $(VENV) $(VENV)-* .platform .mypy_cache .ruff_cache .pytest_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
