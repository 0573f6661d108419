PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-fast lint bench clean

demo: .venv/demo
	$(BIN)/trainwell fit digits --model mlp

test: .venv/dev
	$(BIN)/python -m pytest

test-fast: .venv/dev
	$(BIN)/python -m pytest -m "not slow"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: .venv/bench
	$(BIN)/python -m benchmarks.train_speed

clean:
	rm -rf .venv runs build dist

.venv/base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	touch $@

.venv/demo: .venv/base
	$(PIP) -e .
	touch $@

.venv/dev: .venv/base
	$(PIP) -e ".[dev]"
	touch $@ .venv/demo

.venv/bench: .venv/dev
	$(PIP) -e ".[dev,bench]"
	touch $@
