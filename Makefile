# Everything a developer does is a target here; `make help` lists them. Needs python3 >= 3.11 (with venv) and make.

PYTHON ?= python3
BIN := .venv/bin
export AGENTMEM_SHARED_DATA ?= $(abspath ../shared/data)

PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# More than two: what starts and stops programs waits for them half of the time.
PARALLEL := -n 3 --dist loadfile
# A suite that runs whole may take its time: an hour a test.
WHOLE := --full --timeout=3600 -o faulthandler_timeout=0
# Tests start the program some hundred times: it is compiled once, also where Python is told to write no bytecode.
COMPILE := $(BIN)/python -m compileall -q src
COVERAGE := --cov --cov-report=term --cov-fail-under=$$(cat tests/coverage-floor)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

##@ Use

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.ready ## Make .venv and install the locked requirements; does nothing when nothing changed.
	@:

.venv/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "AgentMem needs Python 3.11 or newer; name one with: make PYTHON=python3.12 setup")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv), then try again." >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@{ $(PIP) install --require-hashes --requirement requirements/dev.txt && \
	   $(PIP) install --no-deps --no-build-isolation --editable .; } >.venv/setup.log 2>&1 || { cat .venv/setup.log >&2; exit 1; }
	@touch $@

.PHONY: run
run: setup ## Start the whole platform on 127.0.0.1:8080; the first start prints a key and how to use it.
	@$(BIN)/agentmem serve

.PHONY: demo
demo: setup ## Show what AgentMem does, on the data it carries; DATA=path for a conversation of your own.
	@$(BIN)/agentmem demo $(if $(DATA),"$(DATA)")

##@ Check

.PHONY: format
format: setup ## Format the code, and mend what lint can mend by itself.
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

.PHONY: lint
lint: setup ## Check format, lint, types, imports and the generated pages.
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/imports
	@$(BIN)/python scripts/generate_reference.py --check
	@$(BIN)/python scripts/generate_chart.py --check

.PHONY: check
check: lint ## Lint, then the quick tests: unit, contract, architecture..
	@$(PYTEST) $(PARALLEL) tests/unit tests/contract tests/architecture

.PHONY: services
services: ## Install the programs that tests start: Redis, HAProxy, nginx, faketime, Chromium, oathtool; does nothing when they are there.
	@$(PYTHON) scripts/install_services.py

.PHONY: foreign
foreign: ## Install the programs of others that tests speak to (npm): a signer of requests, an identity provider.
	@if command -v npm >/dev/null; then \
	  test tests/npm/node_modules/.package-lock.json -nt tests/npm/package-lock.json || npm ci --prefix tests/npm --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo "Please install npm. Tests that need it are skipped until then." >&2; fi

.PHONY: deploy-tools
deploy-tools: ## Install what looks at the chart and the workflows; IMAGES=1 for what builds and runs images too.
	@$(PYTHON) scripts/install_deploy_tools.py $(if $(IMAGES),--images)

.PHONY: test
test: lint services foreign deploy-tools ## Lint, then every test, with coverage; slow suites run as bounded samples.
	@$(COMPILE)
	@$(PYTEST) $(PARALLEL) $(COVERAGE)

.PHONY: test-some
test-some: setup services deploy-tools ## Some suites alone, without coverage: SUITES="unit contract".
	@$(PYTEST) $(PARALLEL) $(addprefix tests/,$(SUITES))

.PHONY: test-full
test-full: lint services foreign ## As test, with the slow suites whole, images built and run among them.
	@$(MAKE) --no-print-directory deploy-tools IMAGES=1
	@$(COMPILE)
	@$(PYTEST) $(PARALLEL) $(COVERAGE) $(WHOLE)

.PHONY: test-chaos
test-chaos: setup services ## Kill, stop and cut off everything under load; FULL=1 for a hundred kills and whole minutes.
	@$(PYTEST) $(PARALLEL) tests/chaos $(if $(FULL),$(WHOLE))

.PHONY: test-deploy
test-deploy: setup services ## Build, run, scan and sign the image, compose, chart and workflows: everything of tests/deployment, whole.
	@$(MAKE) --no-print-directory deploy-tools IMAGES=1
	@timeout --signal=INT --kill-after=30 600 $(PYTEST) $(PARALLEL) tests/deployment --full

.PHONY: coverage
coverage: setup ## Run every test, show the lines that none runs, and raise the floor to what is covered now.
	@$(PYTEST) $(PARALLEL) --cov --cov-report=term-missing
	@$(BIN)/python scripts/raise_coverage_floor.py

.PHONY: mutants
mutants: setup ## Change the identity modules in small ways; fails where the tests notice less than nine of ten (minutes).
	@$(BIN)/python scripts/mutants.py

##@ Measure

.PHONY: bench
bench: ## Run all benchmarks; each takes JSON= when called by its own name.
	@$(MAKE) --no-print-directory bench-retrieval JSON=
	@$(MAKE) --no-print-directory bench-engine JSON=
	@$(MAKE) --no-print-directory bench-server JSON=
	@$(MAKE) --no-print-directory bench-instances JSON=
	@$(MAKE) --no-print-directory bench-key
	@$(MAKE) --no-print-directory bench-enumeration

.PHONY: bench-retrieval
bench-retrieval: setup ## Measure the quality of retrieval; DATA=path of the questions, JSON=path for the figures.
	@$(BIN)/python -m benchmarks.retrieval --data "$(or $(DATA),$(AGENTMEM_SHARED_DATA))" $(if $(JSON),--json "$(JSON)")

.PHONY: bench-engine
bench-engine: setup ## Measure the speed and memory of the engine; SIZES= and SCOPES= of the stores, JSON=path for the figures.
	@$(BIN)/python -m benchmarks.engine $(if $(SIZES),--sizes "$(SIZES)") $(if $(SCOPES),--scopes "$(SCOPES)") $(if $(JSON),--json "$(JSON)")

.PHONY: bench-server
bench-server: setup ## Measure the server: requests a second and latency over REST; SIZES=, CLIENTS=, JSON=path for the figures.
	@$(BIN)/python -m benchmarks.server $(if $(SIZES),--sizes "$(SIZES)") $(if $(CLIENTS),--clients "$(CLIENTS)") $(if $(JSON),--json "$(JSON)")

.PHONY: bench-instances
bench-instances: setup ## Measure server processes beside each other: calls a second of 1, 2 and 4, and what the limit is.
	@$(BIN)/python -m benchmarks.instances $(if $(JSON),--json "$(JSON)")

.PHONY: bench-key
bench-key: setup ## Measure the processor time of checking an API key, and an access token.
	@$(BIN)/python -m benchmarks.key_check

.PHONY: bench-enumeration
bench-enumeration: setup ## Measure whether time tells who has an account, and what a sign-in costs beside its hash.
	@$(BIN)/python -m benchmarks.enumeration

##@ Maintain

.PHONY: docs
docs: setup ## Write the generated pages of docs/reference anew.
	@$(BIN)/python scripts/generate_reference.py
	@$(BIN)/python scripts/generate_chart.py

.PHONY: manifests
manifests: deploy-tools ## Render the chart into deploy/kubernetes, for those without Helm.
	@scripts/deploy/manifests.sh >.cache/manifests.yaml
	@mv .cache/manifests.yaml deploy/kubernetes/agentmem.yaml

.PHONY: lock
lock: ## Resolve the requirements anew, with hashes; UPGRADE=1 for the newest versions.
	@$(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet --disable-pip-version-check uv 2>.cache/lock.log || { cat .cache/lock.log >&2; exit 1; }
	@.cache/lock/bin/python scripts/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove what the targets made, .venv included; your stores stay.
	@rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis mutants build dist
	@find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
