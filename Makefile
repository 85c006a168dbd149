# Two commands matter: `make repro` (the whole chain to reports/index.html) and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# In every locale DVC names files in UTF-8, as their hashes do.
RUN := PYTHONUTF8=1 PATH="$(CURDIR)/$(BIN):$$PATH"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help repro photographs test bench mutants lint format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: .venv/installed  ## run the pipeline to reports/index.html; nothing is done twice
	@$(RUN) dualperturb workflow check
	@$(RUN) dvc repro
	@echo "report: reports/index.html"

# In a copy of the tree that DVC removes again, so that params.yaml and reports/ stay those of `make repro`.
CIFAR10 := $(wildcard data/raw/cifar10/*.bin data/raw/cifar10/*.txt data/raw/cifar10/cifar-10-batches-bin)
photographs: .venv/installed  ## run it on CIFAR-10 alone to reports/photographs; first: dualperturb data fetch cifar10
	@$(RUN) dualperturb workflow check
	@$(RUN) dvc exp remove --quiet photographs 2>/dev/null || true
	@$(RUN) dvc exp run --temp --name photographs $(CIFAR10:%=--copy-paths %) -S 'datasets=[cifar10]'
	@rm -rf reports/photographs
	@$(RUN) dvc get . reports --rev photographs --out reports/photographs
	@echo "report: reports/photographs/index.html"

test: .venv/installed-dev  ## install what tests need and run them
	@$(RUN) python -m pytest --numprocesses 2 --dist worksteal

bench: .venv/installed-peers  ## measure speed and memory on the CPU; each target as reached or missed
	@$(RUN) python -m benchmarks.bench

mutants: .venv/installed-mutants  ## which changes of the source the tests notice: an hour or so
	@$(RUN) python -m tests.mutations.run

lint: .venv/installed-dev  ## ruff check and format check, mypy on src
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

format: .venv/installed-dev  ## let ruff fix and format the code
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

clean:  ## remove the environment; data, models and reports stay
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 12) else \
		"error: Python 3.11 or 3.12 is needed, $(PYTHON) is %d.%d; say which: make PYTHON=python3.12" % v)'
	@# Else pip would notice after gigabytes of downloads, and say so in a traceback.
	@$(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free / 1e9; sys.exit(0 if free >= 9 else \
		"error: disk: found %.1f GB free here; accepted: 9, of which .venv keeps 6, mostly CUDA builds of PyTorch" % free)'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[workflow,perceptual,strong]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --editable '.[workflow,perceptual,strong,test,lint]'
	@# Without its dependencies: it pins a requests of 2020, which it never imports.
	$(PIP) --no-deps torchattacks
	@touch $@

.venv/installed-peers: .venv/installed-dev Makefile
	$(PIP) --editable '.[peers,lite]'
	@# Without its dependencies: it wants visdom, which does not build, and uses it for plots alone.
	$(PIP) --no-deps adv-lib
	@touch $@

.venv/installed-mutants: .venv/installed-dev
	$(PIP) --editable '.[mutants]'
	@touch $@
