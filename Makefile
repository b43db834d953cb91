# The one door. `make` alone prints what is behind it. A clone, python3 and make are all it takes.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
UV     := $(shell command -v uv 2>/dev/null)
# To look through all files for these few tests would take longer than to run them.
SMOKE  = $(shell grep -rl --include='test_*.py' 'mark\.smoke' tests)

# The Python that is here is the Python that is meant.
export UV_PYTHON_DOWNLOADS = never
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ifdef UV
make_venv = $(UV) venv --quiet --python $(PYTHON) $(VENV)
install   = $(UV) pip install --quiet --python $(BIN)/python -c constraints.txt
else
make_venv = $(PYTHON) -m venv $(VENV)
install   = $(BIN)/python -m pip install --quiet -c constraints.txt
endif

.DEFAULT_GOAL := help
.PHONY: help demo dev test fast smoke soak check pyright lint coverage mutants broken bench compare docs clean

help: ## Print this
	@echo "Conveyor: background jobs for Python, in the database you already have."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PYTHON=python3.12 picks the Python, ARGS='-k lease' goes to pytest,"
	@echo "  CONVEYOR_TEST_PG=15|17|18 picks the PostgreSQL of the tests."

demo: $(VENV)/.core ## See jobs run, in one minute and with nothing to set up
	@$(BIN)/conveyor demo $(ARGS)

dev: $(VENV)/.dev ## Install Conveyor editable, with its tools and test servers, in .venv
	@echo "Ready: . $(BIN)/activate"

test: $(VENV)/.dev ## Run all tests but the soak; PostgreSQL included
	$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

fast: $(VENV)/.dev ## Run the unit tests and the SQLite contract: seconds
	$(BIN)/pytest -n 2 --dist worksteal tests/unit tests/contract -m fast $(ARGS)

smoke: $(VENV)/.smoke ## Run the short selection for one more Python or PostgreSQL
	$(BIN)/pytest -n 2 --dist worksteal -m smoke $(SMOKE) $(ARGS)

soak: $(VENV)/.dev ## Run the long tests: minutes to hours
	$(BIN)/pytest -m soak --timeout 0 $(ARGS)

check: $(VENV)/.dev ## Lint, types, layers, bounds and the fast tests: what a change must pass
	@+$(MAKE) --no-print-directory -j 2 pyright lint fast ARGS=

# The slowest of what keeps one core busy, beside all else.
pyright: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/mypy --strict tools
	$(BIN)/lint-imports
	$(BIN)/python tools/bounds.py

coverage: $(VENV)/.dev ## Run the fast tests with coverage
	$(BIN)/coverage run -m pytest tests/unit tests/contract -m "not postgres and not soak" -p no:xdist -q
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --fail-under=80

mutants: $(VENV)/.dev ## Break the code on purpose; each break must be caught
	$(BIN)/python tools/mutants.py $(ARGS)

broken: $(VENV)/.dev ## Break the code on purpose; `conveyor chaos` must see each break
	$(BIN)/python tools/broken.py $(ARGS)

bench: $(VENV)/.dev ## Measure throughput and latency on this machine
	$(BIN)/conveyor bench $(ARGS)

compare: $(VENV)/.dev ## Measure Conveyor beside its peers on PostgreSQL, or with STORE=redis on Redis
	$(BIN)/python -m benchmarks.compare $(if $(STORE),--store $(STORE)) $(ARGS)

docs: $(VENV)/.dev ## Build the documentation as a site; a warning is an error
	@$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

clean: ## Go back to a bare clone: environments, caches and builds
	rm -rf $(VENV) .venv-* .cache build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf htmlcov .coverage .coverage.* conveyor-demo
	find src tests tools docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------- the environment
# A stamp beside the environment says which extras it has, so that each is installed once.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Conveyor needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	@echo "Making $(VENV) with $$($(PYTHON) --version)..."
	@$(make_venv) || { rm -rf $(VENV); exit 1; }

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Conveyor..."
	@$(install) -e .
	@touch $@

$(VENV)/.smoke: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Conveyor and what its tests need..."
	@$(install) -e '.[postgres,test]'
	@touch $@ $(VENV)/.core

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Conveyor, its tools and test servers (a minute, once)..."
	@$(install) -e '.[all,dev]'
	@touch $@ $(VENV)/.core $(VENV)/.smoke
