# mxdot: `make` runs the main job, `make test` the tests; both prepare .venv on their first run.
.DEFAULT_GOAL := main
SHELL := /bin/sh

PYTHON ?= python3
EXTRAS ?= dev
JOBS ?= auto
SEED ?= 0
SEEDS ?= 1
QUICK ?=
SIM ?= both
RANDOM ?= 10
OUT ?= out

VENV := .venv/bin
export AMARANTH_USE_YOSYS := builtin

.PHONY: main test lint verify regress bench bench-golden fit figures counts oracles setup help clean

main: setup  ## the digits network through golden model and simulated hardware, then synthesis
	$(VENV)/mxdot run dot -o $(OUT)/dot.v
	$(VENV)/mxdot synth dot -o $(OUT)/dot.v --seeds $(SEEDS)

test: lint  ## lint, types and all tests
	OPENBLAS_NUM_THREADS=1 $(VENV)/pytest -n $(JOBS)  # threads of BLAS would fight the parallel tests

lint: setup  ## ruff and mypy
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	@mkdir -p build/typing/mxdot
	@for room in golden rtl verif flow; do ln -sfn ../../../$$room build/typing/mxdot/$$room; done
	$(VENV)/mypy -p mxdot.golden -p mxdot.rtl -p mxdot.flow

verify: setup  ## the cocotb regression of the default unit in SIM, from SEED
	$(VENV)/mxdot verify dot -o $(OUT)/dot.v --sim $(SIM) --seed $(SEED)

regress: setup  ## the long regression: every pair of options, RANDOM more sets from SEED, exhaustive codes
	@mkdir -p build
	OPENBLAS_NUM_THREADS=1 MXDOT_SEED=$(SEED) MXDOT_RANDOM=$(RANDOM) $(VENV)/pytest -n $(JOBS) --dist worksteal \
	  -q --junitxml=build/regress.xml $(wildcard tests/*/regress_*.py); status=$$?; \
	  $(VENV)/python -m mxdot.verif.regression_log build/regress.xml "make regress SEED=$(SEED)" && exit $$status

bench: setup  ## cost and clock of all units, the goals with SEEDS seeds, into docs/bench.md, .json and plots
	$(VENV)/python -m mxdot.flow.bench --seeds $(SEEDS) $(if $(QUICK),--quick)
	$(VENV)/python -m mxdot.flow.figures

fit: setup  ## the delays of rtl/targets.py, measured with the flow
	$(VENV)/python -m mxdot.flow.fit

figures: setup  ## the datapaths of docs/profiles, drawn from the steps, and their tables from docs/bench.json
	$(VENV)/python -m mxdot.flow.figures

counts: setup  ## the exact cell counts that tests/flow/test_flow_counts.py compares with, anew
	$(VENV)/python -m mxdot.flow.counts tests/flow/counts.json

bench-golden: setup  ## the golden model's speed beside NumPy and sgemm, with and without numba
	$(VENV)/python -m mxdot.golden.benchmark
	MXDOT_NUMBA=0 $(VENV)/python -m mxdot.golden.benchmark

oracles:  ## what torch and torchao (CPU builds, in .venv-oracles) give, into tests/data/oracles, and tests on many more
	@PYTHON="$(PYTHON)" EXTRAS=oracles VENV_DIR=.venv-oracles ./setup.sh
	.venv-oracles/bin/python -W ignore tests/oracles/record.py tests/data/oracles
	.venv-oracles/bin/python -W ignore tests/oracles/record.py --volume build/oracles
	.venv-oracles/bin/pytest -q tests/golden/test_oracles.py
	MXDOT_ORACLES=$(CURDIR)/build/oracles .venv-oracles/bin/pytest -q tests/golden/test_oracles.py

setup:  ## system packages, .venv and pinned Python packages; immediate when nothing changed
	@PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" ./setup.sh

help:  ## this list
	@echo "targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22
	@echo "variables (present value):"
	@printf '  %-14s %-10s %s\n' \
	  PYTHON "$(PYTHON)" "interpreter for .venv, 3.11 or newer" \
	  EXTRAS "$(EXTRAS)" "optional parts to install: dev, train" \
	  JOBS "$(JOBS)" "parallel test processes" \
	  SEED "$(SEED)" "seed of operands and stalls" \
	  SEEDS "$(SEEDS)" "place-and-route seeds of the main job and of make bench" \
	  QUICK "$(QUICK)" "1: make bench measures a subset, in minutes" \
	  SIM "$(SIM)" "simulator of make verify: verilator, icarus, both" \
	  RANDOM "$(RANDOM)" "random parameter sets of make regress" \
	  OUT "$(OUT)" "folder for Verilog, manifest and reports"

clean:  ## remove build/, $(OUT)/ and caches (.venv stays)
	rm -rf build $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
