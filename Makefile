PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# The build tools come from constraints.txt too.
EDITABLE := $(PIP) --no-build-isolation --editable
# The networks of tests are small: processes beside each other beat threads that wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=logical --dist=worksteal

.PHONY: demo test test-fast test-models test-corpus lint format bench clean

demo: .venv/.demo
	$(BIN)/trainwell fit digits --model mlp

test: .venv/.dev
	$(PYTEST)

test-fast: .venv/.dev
	$(PYTEST) -m "not slow"

# Also the largest models of the catalogue: half an hour.
test-models: .venv/.dev
	TRAINWELL_EVERY_MODEL=1 $(PYTEST) tests/models

# Also every planted fault and every program of the corpus of faulty trainings: half an hour.
test-corpus: .venv/.dev
	TRAINWELL_EVERY_PROGRAM=1 $(PYTEST) tests/benchmarks/test_corpus.py tests/checks/test_planted_faults.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Such as: make bench ARGUMENTS="--question mnist --rounds 3"
bench: .venv/.bench
	$(BIN)/python -m benchmarks.train_speed $(ARGUMENTS)

clean:
	rm -rf .venv build dist

# A stamp is made when its installation is complete, so an interrupted one is repeated.
.venv/.base: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trainwell needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	@echo "Installing PyTorch and trainwell into .venv; the first time takes minutes."
	$(PIP) torch hatchling editables
	touch $@

.venv/.demo: .venv/.base pyproject.toml
	$(EDITABLE) .
	touch $@

.venv/.dev: .venv/.demo
	$(EDITABLE) ".[dev]"
	touch $@

.venv/.bench: .venv/.demo
	$(EDITABLE) ".[bench]"
	touch $@
