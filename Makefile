# Everything a fresh machine needs is Python >= 3.11 and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
READY := .venv/.ready
# Airflow starts a process for everything: each would compile its 17,000 modules anew where this is set.
unexport PYTHONDONTWRITEBYTECODE
# What the images get: a part of requirements.lock, in the same versions.
IMAGE_LOCK := --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements.lock --custom-compile-command "make lock"

help:  ## this list
	@grep -hE '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(READY): requirements.lock requirements-uv.lock pyproject.toml
	@python=; for candidate in python3 python3.13 python3.12 python3.11; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "needs Python 3.11 or newer (Debian: apt-get install python3)"; exit 1; fi; \
	test -x $(BIN)/python || $$python -m venv .venv || { echo "needs Python's venv module (Debian: apt-get install python3-venv)"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY)  ## create .venv with the locked packages

demo: $(READY)  ## run the demo study on an embedded Airflow
	@$(BIN)/hpo run dags/studies/demo.yaml

up: $(READY)  ## start the embedded Airflow with its UI; it stays
	@$(BIN)/hpo up

down: $(READY)  ## stop the embedded Airflow
	@$(BIN)/hpo down

lint: $(READY)  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)  ## every check; installs missing Debian packages when root
	@$(BIN)/python tests/install_servers.py
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest

test-gp: $(READY)  ## the Gaussian-process sampler (installs PyTorch, some GB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pytest tests/study/test_gp.py

races: $(READY)  ## the ledger's race tests at full size, on SQLite and PostgreSQL (minutes)
	@$(BIN)/python tests/install_servers.py
	$(BIN)/python benchmarks/races.py

outages: $(READY)  ## outages of ten minutes on a real Airflow (about an hour; root)
	@$(BIN)/python tests/install_servers.py
	@command -v cc > /dev/null || apt-get install --yes --quiet gcc libc6-dev > /dev/null
	$(BIN)/python benchmarks/outages.py

bench: $(READY)  ## measure speed, write benchmarks/results.json (half an hour; QUICK=1: small sizes)
	@$(BIN)/python tests/install_servers.py
	$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick)

bench-peers: $(READY)  ## the same trials on Syne Tune and Ray Tune, in environments of their own
	@for peer in syne-tune ray-tune; do \
	  test -x .venv-peers-$$peer/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-peers-$$peer || exit 1; \
	  $(BIN)/uv pip install --quiet --python .venv-peers-$$peer/bin/python --no-deps --require-hashes -r benchmarks/peers/$$peer.txt || exit 1; \
	done
	$(BIN)/python -m benchmarks.bench_peers $(if $(QUICK),--quick)

readme-figures: $(READY)  ## write the README's figures from benchmarks/results.json
	$(BIN)/python -m benchmarks.readme_table

lock-peers: $(READY)  ## resolve the peers' dependencies anew, with our versions of what they share with us
	@for peer in syne-tune ray-tune; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements.lock --custom-compile-command "make lock-peers" benchmarks/peers/$$peer.in -o benchmarks/peers/$$peer.txt || exit 1; \
	done
# The newest Airflow with task loops, in an environment of its own. The tests are the same ones: those that need Airflow.
NEXT := .venv-airflow-3.4
NEXT_TESTS ?= tests/flow tests/cli

$(NEXT)/.ready: requirements-airflow-3.4.lock pyproject.toml | $(READY)
	@test -x $(NEXT)/bin/python || $(BIN)/python -m venv $(NEXT)
	@$(BIN)/uv pip install --quiet --python $(NEXT)/bin/python --no-deps --require-hashes -r requirements-airflow-3.4.lock
	@$(BIN)/uv pip install --quiet --python $(NEXT)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

test-airflow-3.4: $(NEXT)/.ready  ## the tests that need Airflow, on the newest 3.4, where rounds are a task loop (minutes)
	@$(BIN)/python tests/install_servers.py
	$(NEXT)/bin/pytest $(NEXT_TESTS)

simulate: $(READY)  ## 100,000 simulated histories with faults; figures to benchmarks/simulator.json
	$(BIN)/python -m tests.simulator --histories 100000 --seed 1 --bugs --write

nemesis: $(READY)  ## kill parts of a real Airflow at random, on both stacks; figures to benchmarks/nemesis.json (an hour; NEMESIS="--stack celery --seed 7": that one again)
	@$(BIN)/python tests/install_servers.py
	$(BIN)/python -m tests.nemesis $(NEMESIS)

lock: $(READY)  ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev --extra celery pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev --extra celery -c constraints-airflow-3.4.txt pyproject.toml -o requirements-airflow-3.4.lock
	echo uv | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" - -o requirements-uv.lock
	echo setuptools | $(BIN)/uv pip compile $(IMAGE_LOCK) --extra celery pyproject.toml - -o docker/airflow-requirements.lock
	printf 'boto3\ngoogle-re2\n' | $(BIN)/uv pip compile $(IMAGE_LOCK) - -o docker/trial-requirements.lock

env:  ## .env with random secrets, for docker-compose.yaml; an existing one stays
	@python3 docker/make_env.py

wheel: $(READY)  ## dist/*.whl, for an Airflow of your own
	$(BIN)/uv build --wheel --no-build-isolation

.PHONY: help setup demo up down lint test test-gp races outages simulate nemesis lock env wheel bench bench-peers lock-peers readme-figures test-airflow-3.4
