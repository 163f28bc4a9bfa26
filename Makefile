# Every target does its own set-up: a fresh machine needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

BIN := .venv/bin
STAMP := .venv/.made-from-pyproject
# A third of the time of the whole suite is spent waiting for servers: three processes keep two cores busy.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)

.PHONY: help demo test test-all check pulsar bench lint format docs

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run thousands of real purchases while their shop processes are killed; see that nothing is lost
	$(BIN)/orderway demo

test: $(STAMP) ## Run the representative tests, on real databases too (at most 20 minutes on 2 cores)
	.ci/packages
	.ci/pulsar/fetch --optional
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: $(STAMP) ## Run every test in its long profile
	.ci/packages
	.ci/pulsar/fetch --optional
	ORDERWAY_LONG=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: lint ## Lint, check types and layers, run the quick tests (under a minute)
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow"

pulsar: $(STAMP) ## Fetch Apache Pulsar (once; takes Java 17, Maven and two to five minutes) and run it until Ctrl-C
	.ci/pulsar/fetch
	$(BIN)/python -m orderway.testing.servers pulsar

bench: .venv/.made-with-bench ## Measure the speed beside others, on real database servers; prints tables and writes JSON
	$(BIN)/python -m bench

lint: $(STAMP) ## Check format, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## Write the generated pages of docs/ again
	$(BIN)/python -m orderway.lifecycle docs/lifecycle.md
	$(BIN)/python -m orderway.odd_page docs/odd-payments.md

# What the benchmark compares with is nobody else's business, and so not part of the first set-up.
.venv/.made-with-bench: $(STAMP)
	.ci/set-up --group bench
	@touch $@

# Made again whenever pyproject.toml changes. The stamp comes last, so that a broken set-up is not taken for a whole one.
$(STAMP): pyproject.toml .ci/set-up
	.ci/set-up
	@touch $@
