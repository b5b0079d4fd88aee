# Two commands matter: `make run` and `make test`. `make help` lists the others.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INI ?= development.ini
# Two test processes per core, because a test waits for other processes half of the time.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

# All tests of a file, or of some folders (see tests/conftest.py), run in one process, because they share a
# service, a browser or a database. The slowest files run first.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# The tests to run while you work.
FAST := tests/functional/llm tests/unit
# The tests of which `make check` measures the coverage.
COVERING := tests/functional/api tests/functional/pages tests/functional/runs $(FAST)
SUITE := not slow and not soak

# Pin the versions in build environments too. For them, pip before 25.3 reads the first variable.
export PIP_CONSTRAINT := $(abspath constraints.txt)
export PIP_BUILD_CONSTRAINT := $(abspath constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# If it is set, pytest rewrites the assertions of all tests again in each of its processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: $(VENV)/.installed ## start the service with its database on http://localhost:8000 (PORT=8123 for another port)
	@exec $(BIN)/python deploy/pserve.py $(INI)

.PHONY: test
test: $(VENV)/.installed-test ## run the whole suite with its own PostgreSQL server
	@$(PYTEST) -m "$(SUITE)"

.PHONY: test-fast
test-fast: $(VENV)/.installed-test ## run the unit tests and those of LLM providers, in less than a minute
	@$(PYTEST) -m "$(SUITE)" $(FAST)

# Three processes, whatever the cores: some of these tests install environments of a gigabyte.
.PHONY: test-slow
test-slow: $(VENV)/.installed-test ## run the slow tests: deployments, browsers, database faults, third-party clients
	@$(BIN)/python -m pytest -n 3 -m slow

.PHONY: soak
soak: $(VENV)/.installed-test ## run the slowest tests: hundreds of kills, a million rows, generated input
	@$(BIN)/python -m pytest -n $(JOBS) -m soak
	@$(BIN)/python -m pytest -n $(JOBS) -m "$(SUITE)" --hypothesis-profile=search tests/unit

.PHONY: check
check: $(VENV)/.installed-test ## check formatting, lint, types, import rules, dependencies, API specification, coverage
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pip check
	@$(BIN)/openapi-spec-validator combine_core/api/openapi.yaml
	@$(PYTEST) -m "$(SUITE)" -q --cov --cov-report=term:skip-covered $(COVERING)

docs/run-states.md: combine_core/runs/transitions.py $(VENV)/.installed-test
	@$(BIN)/python -c 'from combine_core.runs.transitions import document; print(document(), end="")' > $@

.PHONY: node-modules
node-modules: ## install the Node packages of some tests, which are skipped without them
	@for folder in $(dir $(wildcard tests/*/package-lock.json)); do \
	  (cd $$folder && npm ci --no-audit --no-fund --loglevel=error) || exit 1; \
	done

.PHONY: bench
bench: $(VENV)/.installed-test ## compare requests with FastAPI, Django and bare WSGI, and write docs/benchmarks.md
	@PYTHONPATH=. $(BIN)/python benchmarks/peers/bench.py

.PHONY: bench-health
bench-health: $(VENV)/.installed-test ## compare the probes with a bare WSGI function, in one run
	@$(BIN)/python benchmarks/health/bench.py

.PHONY: bench-domain
bench-domain: $(VENV)/.installed-test ## measure the time to read and run sources, and the memory of a worker
	@PYTHONPATH=. $(BIN)/python benchmarks/domain/bench.py

.PHONY: rolling
rolling: ## update the running containers to this checkout, one replica at a time
	@deploy/rolling.sh

.PHONY: format
format: $(VENV)/.installed-test ## format the code and apply the fixes of ruff
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lock
lock: ## pin the newest versions that the requirements allow in constraints.txt
	@$(PYTHON) deploy/lock.py python3.11 python3.12 python3.13

.PHONY: release
release: $(VENV)/.installed-test ## check, write CHANGES.md, commit and tag: make release VERSION=0.1.0
	@$(BIN)/python deploy/release.py "$(VERSION)"

.PHONY: clean
clean: ## remove the virtual environment and the build output; var/ with its database stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache

# Every other target needs a supported Python.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
	"Combine needs Python 3.11, 3.12 or 3.13; this is %d.%d. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Install venv first (Debian: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.installed: setup.py pyproject.toml constraints.txt combine_health/version.py | $(VENV)/bin/python
	@# The first installation takes minutes, so pip reports each package.
	@echo "Installing Combine and its dependencies into $(VENV), once and after changes of setup.py ..."
	@# The distribution was once called "combine". With both installed, each entry point would exist twice.
	@rm -rf combine.egg-info
	@$(BIN)/python -m pip uninstall -qq --yes combine
	@$(BIN)/python -m pip install $(if $(wildcard $@),--quiet) --editable '.[all]'
	@touch $@
	@echo "Installed."

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the dependencies of the tests ..."
	@$(BIN)/python -m pip install $(if $(wildcard $@),--quiet) --editable '.[test]'
	@touch $@
