# Every target sets up what it needs: a .venv in the repository, with the tried versions.
PYTHON ?= python3
PAPERS ?=
BUDGET ?= quick
# Networks of the small budgets are too small to be shared by cores: a run for each core instead.
LAUNCHER ?= $(if $(filter smoke quick,$(BUDGET)),joblib,basic)
OPTIONS ?=
VENV := .venv
QUICK := tests/imaging tests/metrics tests/models
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
REPORT := .venv-report
DOCS := .venv-docs

.DEFAULT_GOAL := help
.PHONY: help setup reproduce-tables plan report report-desk docs test test-isa bench drill format clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'
	@echo "  Variables: PAPERS='activation ...' (default: all)  BUDGET=smoke|quick|desk|study|paper"
	@echo "             LAUNCHER=basic|joblib|slurm|ray  OPTIONS='key=value ...'"

setup: $(READY) ## Create .venv and install the suite into it

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

reproduce-tables: $(READY) ## Train and score what the papers' tables need, and write report/
	$(RUN) -m sr_experiments.reproduce $(PAPERS) budget=$(BUDGET) hydra/launcher=$(LAUNCHER) $(OPTIONS)

plan: $(READY) ## Say what that would take: runs, networks, updates, hours; trains nothing
	$(RUN) -m sr_experiments.reproduce --plan $(PAPERS) budget=$(BUDGET) hydra/launcher=$(LAUNCHER) $(OPTIONS)

report: $(READY) ## Write the tables again from the runs that are there
	$(RUN) -m sr_experiments.report

# Without torch: seconds to install, in an environment of its own.
$(REPORT)/.ready: constraints.txt
	$(PYTHON) -m venv $(REPORT)
	$(REPORT)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		matplotlib scipy jinja2 pydantic pyyaml omegaconf rich
	@touch $@

report-desk: $(REPORT)/.ready ## Write report-desk/ from the runs in results/desk; trains nothing
	PYTHONPATH=src $(REPORT)/bin/python -m sr_experiments.report --runs results/desk --out report-desk

$(DOCS)/.ready: constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		mkdocs-material pydantic pyyaml omegaconf
	@touch $@

docs: $(DOCS)/.ready ## Write the documentation's site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(DOCS)/bin/mkdocs build --strict

test: $(READY) ## Lint, type check and test
	$(VENV)/bin/ruff check src tests benchmarks drills docs
	$(VENV)/bin/ruff format --check src tests benchmarks drills docs
	$(VENV)/bin/mypy
	$(RUN) -m pytest -n auto --dist worksteal

test-isa: $(READY) ## Test networks, scores and images with the instructions of older processors
	ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default $(RUN) -m pytest -n auto $(QUICK)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(RUN) -m pytest -n auto $(QUICK)

bench: $(READY) ## Time patches, an update, scoring, bicubic and start-up, beside peers if given
	$(RUN) benchmarks/bench.py $(OPTIONS)

drill: $(READY) ## Kills, full disks, damaged files, two processes, SLURM: an hour; needs root, see drills/
	$(RUN) drills/readers.py
	$(RUN) drills/ddp.py
	$(RUN) drills/kills.py
	$(RUN) drills/slurm.py
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(RUN) drills/ray_nodes.py

format: $(READY) ## Format the code
	$(VENV)/bin/ruff check --fix src tests benchmarks drills docs
	$(VENV)/bin/ruff format src tests benchmarks drills docs

clean: ## Remove the environment and caches; runs and reports stay
	rm -rf $(VENV) $(REPORT) $(DOCS) build dist .mypy_cache .ruff_cache .pytest_cache
