# Signoff. Two doors for a newcomer: `make demo` and `make test`. Both install what they need.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/bin/uv
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= var/signoff
PORT ?= 8470
DATABASE ?= sqlite
ROUNDS ?= 200
PROVE_ROUNDS ?= 1000
SEED ?= 0

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

$(READY): requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	touch $@

install: $(READY) ## install everything into .venv

demo: $(READY) ## the main job before your eyes: sixty invoices, three agents, your approval
	$(BIN)/signoff demo

serve: $(READY) ## a server on http://127.0.0.1:8470 with its data in var/signoff
	$(BIN)/signoff serve --data $(DATA) --port $(PORT)

test: $(READY) browser ## every promise, on this machine, in under 15 minutes
	$(BIN)/ruff check --quiet src tests benchmarks docs
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -n 2 --dist loadfile

browser: ## what the tests use of the system: a browser, and the tools of the recipes; Debian's, where they are missing
	@missing=
	command -v chromium > /dev/null || command -v google-chrome > /dev/null || missing="chromium"
	command -v openssl > /dev/null || missing="$$missing openssl"
	command -v jq > /dev/null || missing="$$missing jq"
	command -v awk > /dev/null || missing="$$missing mawk"
	if [ -z "$$missing" ]; then exit 0; fi
	if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo > /dev/null; then as=sudo; else as=none; fi
	if [ "$$as" = none ] || ! command -v apt-get > /dev/null; then
	  echo "The tests need programs that are not on PATH: $$missing."
	  echo "Install them with this system's own packages, then run make again."
	  exit 1
	fi >&2
	echo "Installing for the tests: $$missing ..."
	$$as apt-get -qq update
	$$as env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing > /dev/null

check: $(READY) ## what a reviewer would run: format, lint, types, import contract, tests
	$(BIN)/ruff format --check src tests benchmarks docs
	$(MAKE) test

prove: $(READY) ## the long proofs: races in thousands of rounds, wide fuzzing; leaves var/prove.log: ROUNDS=1000
	mkdir -p var
	{ date -u; echo "rounds $(PROVE_ROUNDS)"; \
	  SIGNOFF_ROUNDS=$(PROVE_ROUNDS) SIGNOFF_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -n 2 --dist loadfile -rA -p no:cacheprovider \
	    tests/app/test_races.py tests/app/test_races_of_holds.py tests/core/authority/test_page_mutations.py && \
	  $(BIN)/python -m pytest -n 2 --hypothesis-profile=prove --hypothesis-seed=$(SEED) -q -p no:cacheprovider \
	    tests/core/authority/test_policy.py tests/core/authority/test_rules.py tests/core/authority/test_delegation.py; \
	} 2>&1 | tee -a var/prove.log

faults: $(READY) ## kill the process at every edge and at random moments: ROUNDS=200 SEED=0 DATABASE=sqlite
	$(BIN)/python -m benchmarks.faults --database $(DATABASE) --rounds $(ROUNDS) --seed $(SEED)

bench: $(READY) ## timings beside their targets and the comparison, in one run
	$(BIN)/python -m benchmarks

docs: $(READY) ## write anew what the documentation takes from code
	$(BIN)/python -m docs.generate

lock: | $(UV) ## resolve the dependencies anew
	$(UV) pip compile pyproject.toml --group dev --all-extras --generate-hashes --no-header --no-annotate --universal --python-version 3.11 --quiet -o requirements.lock

clean: ## remove what was installed and built; data in var/ stays
	rm -rf .venv .tools build dist

.PHONY: help install demo serve test browser check prove faults bench docs lock clean
