# The two commands: `make demo` and `make test`. Both work on a fresh clone with Python, pip, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-slow test-ray check format bench clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.offline: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[offline]'
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.offline

demo: $(VENV)/.offline
	$(BIN)/drehr-rag demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m slow

$(VENV)/.ray: $(VENV)/.dev
	$(PIP) --editable '.[ray]'
	touch $@

test-ray: $(VENV)/.ray
	$(BIN)/python -m pytest -q tests/integration/test_ray.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict drehr_rag
	$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.main_job

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
