# `make help` lists what can be made. Every name=value on the command line goes to Hydra as it is:
#   make train dataset=affectnet split=female dataset.root='/data/Affect Net'
#   make sweep split=female,male,mixed model.optimizer.lr=1e-4,1e-3

PYTHON ?= python3
VENV   ?= .venv
EXTRAS ?= dev

SHELL        := /bin/bash
.SHELLFLAGS  := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The overrides, each quoted for the shell; $(value) keeps ${…} unexpanded. Names of our own and
# of nested makes are left out, and nothing is passed down to programs or to other makes.
own       := PYTHON VENV EXTRAS
given     := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
overrides := $(sort $(filter-out $(own),$(given)))
quote      = '$(subst ','\'',$(1))'
forwarded  = $(foreach v,$(overrides),$(call quote,$v=$(value $v)))
MAKEOVERRIDES :=
unexport $(overrides)

bin   := $(VENV)/bin
ready := $(VENV)/.ready
code  := src tests benchmarks

$(ready): pyproject.toml
	@echo "setting up $(VENV) (once, a few minutes)" >&2
	$(PYTHON) -m venv --clear $(VENV)
	$(bin)/python -m pip install --editable '.[$(EXTRAS)]'
	@touch $@

##@ Research
.PHONY: train sweep evaluate explain heatmaps compare check-data shards audit table report runs models predict ask export-model

train: $(ready) ## train and audit one model: make train dataset=affectnet split=female
	@$(bin)/fer-lab train $(forwarded)

sweep: $(ready) ## one run for each combination: make sweep split=female,male seed=1,2,3
	@$(bin)/fer-lab train --multirun $(forwarded)

evaluate: $(ready) ## any model on any data: make evaluate checkpoint=outputs/… dataset=rafdb; or predictions=FILE
	@$(bin)/fer-lab evaluate $(forwarded)

explain: $(ready) ## where a model looks on any data: make explain checkpoint=outputs/… dataset=rafdb
	@$(bin)/fer-lab explain $(forwarded)

heatmaps: $(ready) ## merged heatmaps of runs, side by side: make heatmaps runs=[multirun/…]
	@$(bin)/fer-lab heatmaps $(forwarded)

compare: $(ready) ## B - A on the same samples: make compare runs=[outputs/…,outputs/…]
	@$(bin)/fer-lab compare $(forwarded)

check-data: $(ready) ## counts, duplicates, unreadable files: make check-data dataset=affectnet strict=true
	@$(bin)/fer-lab check $(forwarded)

shards: $(ready) ## a dataset as tar files to stream: make shards dataset=rafdb output=FOLDER
	@$(bin)/fer-lab shards $(forwarded)

audit: $(ready) ## bias of datasets, before any training: make audit dataset=[affectnet,rafdb]
	@$(bin)/fer-lab audit $(forwarded)

table: $(ready) ## runs side by side for a paper: make table runs=multirun/… rows=model columns=[accuracy]
	@$(bin)/fer-lab table $(forwarded)

report: $(ready) ## all runs on one page: make report, or runs=[multirun/…] output=page.html
	@$(bin)/fer-lab report $(forwarded)

runs: $(ready) ## list runs on the terminal: make runs sort=bias
	@$(bin)/fer-lab runs $(forwarded)

models: $(ready) ## list what model=… can be: make models, or name=poster
	@$(bin)/fer-lab models $(forwarded)

predict: $(ready) ## photographs to probabilities: make predict checkpoint=outputs/… image=FOLDER
	@$(bin)/fer-lab predict $(forwarded)

ask: $(ready) ## a vision-language model, zero-shot: make ask server.base_url=… server.model=… dataset=rafdb
	@$(bin)/fer-lab ask $(forwarded)

export-model: $(ready) ## a model as a file that runs alone: make export-model checkpoint=outputs/…
	@$(bin)/fer-lab export $(forwarded)

##@ Development
.PHONY: setup test check format bench clean help

setup: $(ready) ## make .venv (every target does when needed); EXTRAS=dev,ray adds extras
	@$(bin)/python -m pip install --quiet --editable '.[$(EXTRAS)]'

test: $(ready) ## run the tests, with coverage
	@$(bin)/python -m pytest -n auto --dist worksteal -m 'not slow' --cov --cov-report=term

check: $(ready) ## ruff (lint and format) and mypy --strict
	@$(bin)/ruff check $(code)
	@$(bin)/ruff format --check $(code)
	@$(bin)/mypy

format: $(ready) ## bring the code into its form
	@$(bin)/ruff check --fix $(code)
	@$(bin)/ruff format $(code)

bench: $(ready) ## what is measured, against whom: prints ratios
	@$(bin)/python -m benchmarks

clean: ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

help: ## this list
	@awk 'BEGIN {FS = ":.*## "; print "usage: make TARGET [name=value ...]"} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z_-]+:.*## / {printf "  %-13s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "options of a training: $(bin)/fer-lab train --help"
