# `make test` and `make demo` are all that a newcomer needs; both set everything up first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
export PYTHON
# Python keeps what it has compiled, also where the machine's settings forbid it: the tests' files, and what a server's
# processes import, would be compiled anew by each of hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

STAMP := .venv/.setup-done
PEERS := .venv/bin/python tools/peers.py
PYTEST := .venv/bin/python -m pytest
WORKERS ?= 2
# Every extra but torch, which has a lock of its own.
EXTRAS := lightgbm postgres s3 sklearn xgboost
ARGS ?=

.PHONY: help setup demo test test-peers test-peers-newest test-torch lint format bench soak lock openapi index migrations changelog screenshots clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-17s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## Make .venv from requirements.lock (at once when nothing changed)
	@:

$(STAMP): requirements.lock pyproject.toml tools/bootstrap.lock tools/setup.sh
	@bash tools/setup.sh

demo: setup  ## A year of real flights through the whole loop (ARGS="--fast --json --home DIR")
	@.venv/bin/tidegate demo $(ARGS)

test: setup  ## The whole test suite
	@bash tools/debian_packages.sh
	@$(PEERS) setup --clients
	$(PYTEST) -n $(WORKERS) --dist loadgroup $(ARGS)

test-peers: setup  ## The tests against peer servers (MLServer, MLflow)
	@$(PEERS) setup --clients --servers
	$(PYTEST) -m peers $(ARGS)

test-peers-newest: setup  ## The tests of the MLflow client with the newest that installs: for a schedule
	@$(PEERS) newest mlflow
	$(PYTEST) --newest tests/acceptance/test_peer_mlflow{,_models,_pyfunc}.py $(ARGS)

test-torch: setup  ## The tests of PyTorch's models, in several gigabytes of their own
	@$(PEERS) setup torch
	.venv/bin/python tools/beside.py torch -m pytest tests/contract/models/test_torch_models.py tests/acceptance/test_formats_served.py $(ARGS)

lint: setup  ## ruff, mypy, layers, committed OpenAPI
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python tools/openapi.py --check
	.venv/bin/python tools/index.py --check
	.venv/bin/python tools/settings_page.py --check
	.venv/bin/python tools/migrations.py --check
	.venv/bin/python tools/changelog.py check

format: setup  ## Let ruff mend what it can
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

bench: setup  ## Every benchmark, one after the other
	@for benchmark in benchmarks/[!_]*.py; do echo "== $$benchmark"; .venv/bin/python "$$benchmark" $(ARGS); done

soak: setup  ## Minutes of load and killing
	$(PYTEST) -m soak --timeout 1800 $(ARGS)

lock: setup  ## Resolve pyproject.toml, and every peer's requirements.in, into hashed locks
	.venv/bin/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 $(EXTRAS:%=--extra %) --group dev pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 tools/bootstrap.in -o tools/bootstrap.lock
	$(PEERS) lock --clients --servers torch

openapi: setup  ## Write openapi.json anew
	.venv/bin/python tools/openapi.py

index: setup  ## Write the index of commands anew
	.venv/bin/python tools/index.py

migrations: setup  ## Write first migrations for new tables
	.venv/bin/python tools/migrations.py

changelog: setup  ## Fold changelog.d/ into CHANGELOG.md (VERSION=0.2.0)
	.venv/bin/python tools/changelog.py build $(VERSION)

screenshots: setup  ## Take the pictures in docs/ anew
	@bash tools/debian_packages.sh
	.venv/bin/python -m tools.screenshots

clean:  ## Remove everything that can be made again
	rm -rf .venv tests/peers/*/.venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
