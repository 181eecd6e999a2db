# README's two commands are `make quickstart` and `make test`; each sets up what it needs first.
PYTHON := .venv/bin/python
TESTBED := .venv/bin/testbed

.PHONY: setup quickstart test test-unit test-cluster lint bench figures clean

setup:
	@tools/setup

quickstart: setup
	$(TESTBED) run experiments/quickstart.yaml

# Every layer must run: a test that is skipped for want of root or a kernel part fails the command.
test: setup
	$(PYTHON) -m pytest tests --require-layers=unit,golden,figures,cluster

test-unit: setup
	$(PYTHON) -m pytest tests/unit tests/golden tests/figures --require-layers=unit,golden,figures

test-cluster: setup
	$(PYTHON) -m pytest tests/cluster --require-layers=cluster

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup
	$(PYTHON) -m tests.bench

# Rebuilds the figures and reports of the reference runs from their raw data.
figures: setup
	for run in results/*/reference; do $(TESTBED) report $$run || exit; done

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
