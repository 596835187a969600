# The two commands: `make demo` and `make test`. Both work on a fresh clone with Python, pip, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-slow test-properties test-ray test-real test-browser test-wheel \
  environments check format bench bench-versus clean
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

# Stores flush at every step: in memory, where there are 8 GB of it, half of the time is saved.
IN_MEMORY := $(shell [ "$$(df --output=avail -m /dev/shm 2>/dev/null | tail -1)" -gt 8000 ] 2>/dev/null && echo /dev/shm)
test test-slow test-properties: export PYTEST_DEBUG_TEMPROOT = $(IN_MEMORY)

# In two processes: one would take twice as long on two cores. In the order of the folders: otherwise
# the modules with the fewest tests, which take longest, come last, and one process waits.
TWO := --numprocesses 2 --dist loadscope --no-loadscope-reorder --durations 20
test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "not slow" $(TWO)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "slow and not vllm" --hypothesis-profile full $(TWO)

# The properties again, with all their examples: `make test` takes a fifth.
test-properties: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "hypothesis and not slow and not vllm" --hypothesis-profile full $(TWO)

# A real vLLM server on the CPU, in a venv of its own (3 GB): its pins do not fit beside ours.
# To use one that is there already: make test-real DREHR_VLLM_PYTHON=/path/to/its/bin/python
VLLM := .venv-vllm
ifdef DREHR_VLLM_PYTHON
VLLM_READY :=
else
DREHR_VLLM_PYTHON := $(VLLM)/bin/python
VLLM_READY := $(VLLM)/.ready
endif

$(VLLM)/.ready: tests/integration/requirements-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

test-real: $(VENV)/.dev $(VLLM_READY)
	DREHR_VLLM_PYTHON=$(abspath $(DREHR_VLLM_PYTHON)) $(BIN)/python -m pytest -q -m "slow and vllm" $(TWO)

# Both, side by side with `make -j 2 environments`: pip keeps one core busy for minutes.
environments: $(VENV)/.dev $(VLLM_READY)

$(VENV)/.ray: $(VENV)/.dev
	$(PIP) --editable '.[ray]'
	touch $@

test-ray: $(VENV)/.ray
	$(BIN)/python -m pytest -q tests/integration/test_ray.py

# The report in a real browser; where none is, as root on Debian, one is installed first. Where that
# cannot be done either, the tests are skipped and say so.
test-browser: $(VENV)/.dev
	command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
	  >/dev/null 2>&1 || echo "no chromium, and none can be installed here"
	$(BIN)/python -m pytest -q tests/integration/test_report_page.py

# The wheel in an empty environment, away from the checkout.
test-wheel:
	.ci/smoke-wheel

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict drehr_rag
	$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev bench-versus
	$(BIN)/python -m benchmarks.frameworks
	$(BIN)/python -m benchmarks.main_job

# Beside LangChain, LlamaIndex and bare sentence-transformers; goes on where it was cut off.
bench-versus: $(VENV)/.dev
	$(BIN)/python -m benchmarks.encode --json .bench/encode.json --markdown docs/measurements.md
	$(BIN)/python -m benchmarks.ingest --json .bench/ingest.json --markdown docs/measurements.md
	$(BIN)/python -m benchmarks.search --json .bench/search.json --markdown docs/measurements.md

clean:
	rm -rf $(VENV) $(VLLM) .bench dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
