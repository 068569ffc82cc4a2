# Everything is done with a virtual environment in .venv, which each target makes for itself.
# PYTHON names the interpreter to make it from (3.11 or newer), ARGS goes to the program a target runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 100
SEED ?=
WORKERS ?= 3

# Each stamp stands for one set of dependencies, and is renewed when they change.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench

# More workers than cores of a small machine, since the tests wait (elections, disks, processes) as
# long as they work. A file's tests stay with one worker, so what they share is made once. The files
# come in the order of their names, not of the number of their tests: that leaves the slowest for the
# end.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The tests start hundreds of interpreters, and half of such a start would be compiling this package
# where the surroundings forbid to write bytecode; so it is kept in a place of its own.
CACHED := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX="$(CURDIR)/$(VENV)/bytecode"

.PHONY: help setup demo test golden lint check fix mutants sim sim-mutants protos bench bench-core bench-sim bench-engine soak chaos cli clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## make .venv with everything that development needs

demo: $(RUN) ## three processes, a leader killed under load, and the verdict
	@$(BIN)/python -m examples.demo $(ARGS)

test: $(DEV) ## run every test; ARGS="-k membership" runs some, WORKERS=0 in one process
	$(CACHED) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

golden: $(DEV) ## write what the core does now into tests/core/golden; read the difference
	$(BIN)/python -m pytest tests/core/test_golden.py --rewrite-golden $(ARGS)

lint: $(DEV) ## format, style and types; changes no file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test ## lint and test; changes no file

fix: $(DEV) ## format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mutants: $(DEV) ## put one fault at a time into the core; ARGS="snapshots" tries some
	@$(BIN)/python -m scripts.mutants $(ARGS)

sim: $(RUN) ## storms over simulated clusters: SEEDS=100 runs many; SEED=7 runs one, and shows what happened in sim-results
	@mkdir -p sim-results
	@$(BIN)/python -m raftify.testing.storm $(ARGS) \
	  $(if $(SEED),--seed $(SEED) --trace sim-results/$(SEED).txt --drawing sim-results/$(SEED).html,--seeds $(SEEDS))

sim-mutants: $(DEV) ## put one fault at a time into the package; storms must find it; ARGS="snapshot"
	@$(BIN)/python -m scripts.simmutants --markdown docs/simulation-faults.md $(ARGS)

protos: ## generate raftify/wire/*_pb2* from protos/
	PYTHON="$(PYTHON)" scripts/protos.sh

bench: $(BENCH) ## measure writes per second; ARGS="--profile" shows where a leader's time goes
	@$(BIN)/python -m benchmarks.cluster $(ARGS)

bench-core: $(RUN) ## measure the core alone: entries per second, and the cost of a tick
	@$(BIN)/python -m benchmarks.core $(ARGS)

bench-sim: $(RUN) ## measure the simulator: simulated seconds a second; an idle cluster must reach 100
	@$(BIN)/python -m benchmarks.simulation

bench-engine: $(RUN) ## measure the matching engine: commands per second, alone and through three processes; ARGS="--rounds 9"
	@$(BIN)/python -m examples.matchengine.bench $(ARGS)

soak: $(BENCH) ## four hours: storms, the simulator's speed, storage under damage, the port under attack, chaos, an hour of steady load; ARGS="--minutes 3" shortens the load
	@$(BIN)/python -m raftify.testing.storm --seeds 1000 --first 1000 --quiet
	@$(BIN)/python -m benchmarks.simulation
	@$(BIN)/python -m tests.soak.storage 20
	@$(BIN)/python -m tests.testing.crash_sweep --seeds 30
	@$(BIN)/python -m tests.soak.port --minutes 10
	@$(BIN)/python -m tests.chaos
	@$(BIN)/python -m tests.soak.load $(ARGS)

chaos: $(DEV) ## real processes under real faults, 500 kills in an hour; ARGS="--cycles 10" is a trial of five minutes
	@$(BIN)/python -m tests.chaos $(ARGS)

cli: $(RUN) ## the command line tool; ARGS="describe node 127.0.0.1:60061"
	@$(BIN)/raftify-cli $(or $(ARGS),--help)

clean: ## remove what was made here, .venv included
	rm -rf $(VENV) .venv-protos build dist bench-results sim-results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(VENV) run

$(DEV): pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(VENV) dev

$(BENCH): pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(VENV) bench
