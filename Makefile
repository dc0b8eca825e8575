# Every target works from a bare clone: the environment is built when it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench

# Every run starts several processes: what was compiled once is kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE =

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# A module is compiled when it is first imported; most of them never are.
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev,train]'
	touch $@

demo: .venv/ready
	$(BIN)/python examples/demo.py

# Two test processes share two cores; linear algebra that starts two threads in each of them waits
# for itself (measured: one eigendecomposition 0.1 s with one thread, 6 s with two).
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
# Memory that a forward pass gave back is kept for the next one, not fetched anew page by page.
test: export MALLOC_TRIM_THRESHOLD_ = 1000000000
test: export MALLOC_MMAP_THRESHOLD_ = 1000000000
test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadscope -rs

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python benchmarks/bench.py
