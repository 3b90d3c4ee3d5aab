# `make help` lists the targets. Everything happens inside .venv; the rest of the machine is not changed.

PYTHON ?= python3
UV ?= uv
ARGS ?=
# One process more than there are cores, since tests wait for processes as well; four at most.
PROCESSES ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores + 1 : 4)))
SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

# The byte code of the tests is kept also where the environment says otherwise: without it, each process compiles all
# tests before its first one, which takes longer than to collect them.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-interpreters explore lint bench soak chaos chaos-nodes docs pictures site lock clean

help: ## Show this list.
	@echo 'Usage: make TARGET [PYTHON=python3.12] [ARGS="…"]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv with the locked packages and this program.

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Greenroom needs Python 3.11 or newer, which "$(PYTHON)" is not. Name one: make PYTHON=python3.12 …' >&2; \
	  exit 1; }
	@echo 'Making .venv; the first time takes a minute.'
	@$(PYTHON) -m venv .venv || { \
	  echo 'No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Watch a conversation from start to end, with a scripted model: no key, no network.
	@$(BIN)/greenroom demo

# Files in their order, in which those that wait for long come first, and not by their number of tests.
# What comes from package indexes is fetched meanwhile.
test: setup ## Run all tests, in up to four processes. ARGS goes to pytest.
	@trap 'kill $$fetching 2>/dev/null' EXIT; \
	$(if $(ARGS),,$(BIN)/python -m tests.fetch >/dev/null 2>&1 & fetching=$$!;) \
	$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder $(ARGS)

test-fast: setup ## Run the tests that start no server and no browser and try no sandbox, in about a minute. ARGS goes to pytest.
	@$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder -m 'not server and not processes' $(ARGS)

test-interpreters: setup ## Run the demo and a part of the tests on every other CPython that is found. ARGS goes to pytest.
	@$(BIN)/python -m tests.on_interpreters $(ARGS)

explore: setup ## Look for new counterexamples with many random examples; SEED=N repeats a run. ARGS goes to pytest.
	@echo 'To repeat this run: make explore SEED=$(SEED)'
	@$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=worksteal -m 'hypothesis and not server' \
	  --hypothesis-profile=explore --hypothesis-seed=$(SEED) --timeout=1800 $(ARGS)

lint: setup ## Check style, format, types and import contracts.
	@failed=0; for check in 'ruff check' 'ruff format --check --output-format concise' mypy 'lint-imports --no-logo'; do \
	  echo "-- $$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

bench: setup ## Measure the budgets, with the reference if it is available. ARGS goes to the benchmark.
	@$(BIN)/python -m benchmarks $(ARGS)

chaos-nodes: setup ## Lose workers, nodes and links of two nodes at random for ten minutes. ARGS goes to pytest.
	@GREENROOM_CHAOS_SECONDS=600 GREENROOM_CHAOS_CONVERSATIONS=20 \
	  $(BIN)/python -m pytest tests/chaos/test_nodes_under_fire.py tests/chaos/test_ray_nodes_under_fire.py \
	  tests/chaos/test_ray_autoscaler.py $(ARGS)

soak: setup ## Run very many conversations, kill their processes, and check for leaks. Takes some ten minutes.
	@$(BIN)/python -m benchmarks.soak --output docs/soak.md $(ARGS)

chaos: setup ## Kill clients, workers and hosts at random for a minute, over all transports; SEED=N repeats a run.
	@echo 'To repeat this run: make chaos SEED=$(SEED)'
	@GREENROOM_SOAK=1 GREENROOM_SEED=$(SEED) $(BIN)/python -m pytest tests/chaos/test_host_under_fire.py $(ARGS)

docs: setup ## Update the generated parts of the documentation.
	@$(BIN)/python tools/docs/approvals.py
	@$(BIN)/python tools/docs/lifecycle.py
	@$(BIN)/python tools/docs/metrics.py
	@$(BIN)/python tools/docs/wire.py
	@$(BIN)/python tools/docs/app_server.py
	@$(BIN)/python tools/docs/doctor.py
	@$(BIN)/python tools/docs/life.py
	@$(BIN)/python tools/docs/man.py
	@$(BIN)/python tools/docs/reference.py
	@$(BIN)/python tools/docs/status_screen.py

pictures: setup ## Draw the pictures of the dashboard in the documentation anew. Needs Chromium.
	@GREENROOM_PICTURES=docs/images $(BIN)/python -m pytest tests/supervisor/cli/dashboard/test_pictures.py

site: setup ## Build the documentation as a site, in build/site, offline.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lock: ## Regenerate requirements-dev.txt from pyproject.toml. Needs uv.
	@command -v $(UV) >/dev/null || { \
	  echo 'Locking needs uv. Install it, or name it: make lock UV=…' >&2; exit 1; }
	@$(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	  --group dev --group docs pyproject.toml --output-file requirements-dev.txt

clean: ## Remove .venv and every cache.
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
