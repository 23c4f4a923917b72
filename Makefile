# Two commands do everything on a fresh machine with Python >= 3.11, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOUSE := retrain eventsources sensors triggers pipelines deploy
WORKERS := -n 4 --dist loadscope --no-loadscope-reorder --max-worker-restart=0
UV_VERSION := 0.13.8

.PHONY: demo demo-gitops test test-fast check format bench lint-imports schemas setup clean

demo: setup  ## run the whole story on real data: it arrives, a model follows, Git receives it
	@$(BIN)/python -m examples.digits.demo

demo-gitops: setup  ## the way to production: three environments, two people, a freeze, noise, and two ways back
	@$(BIN)/python -m examples.gitops.demo

test: setup  ## all tests; those that need a server which this machine lacks say so. ONLY="not integration": a part
	$(BIN)/python -m pytest -q $(WORKERS) $(if $(ONLY),-m "$(ONLY)") tests

test-fast: setup  ## the tests that take seconds
	$(BIN)/python -m pytest -q $(WORKERS) -m "not slow and not integration" tests

check: setup  ## style, types and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup  ## let ruff write
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: setup  ## write docs/schemas and deploy/kubernetes/crds anew, from the models
	@$(BIN)/python -m retrain.app.projects.schemas docs/schemas
	@$(BIN)/python -m retrain.app.crds.writing deploy/kubernetes/crds

bench: setup  ## measure, beside a peer or the physical limit, in one run
	$(BIN)/python -m bench

setup: $(VENV)/.ready  ## make .venv from the lock, once

# uv comes from the index into the environment itself, so the machine needs none. The stamp is the lock's: a new lock,
# a new environment. The house is compiled with it: half of what a command takes to start would be compiling.
$(VENV)/.ready: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Retrain needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make virtual environments (on Debian: apt install python3-venv)"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@echo "setting up $(VENV) from uv.lock ..."
	@UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --all-extras --quiet --compile-bytecode
	@$(BIN)/python -m compileall -q $(HOUSE)
	@touch $@

clean:  ## throw away what the commands above have made
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
