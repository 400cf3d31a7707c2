# Safehands 安驿. `make` alone lists the targets. Needs Python 3.11 or newer and make, nothing else.

# Which Python makes the environment; empty: the first that is new enough.
PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
LANDING ?=
DATE ?=
FORCE ?=
# Worker processes of the tests.
JOBS ?= 2
# An administrator's URL of a served PostgreSQL, for test-served.
SERVER ?=
# More for pytest: make test ARGS="tests/ledger -x"
ARGS ?=
# One transfer mode for make handover; empty: all five.
MODE ?=

# `make nightly LANG=zh` chooses the language of messages; the machine's locale stays as it is.
ifeq ($(origin LANG),command line)
export SAFEHANDS_LANG := $(LANG)
override LANG := C.UTF-8
endif

.DEFAULT_GOAL := help
.PHONY: bench-risk help setup nightly handover up down test test-served check bench configuration torture clean logins audit

help: ## list the targets
	@echo "make nightly [LANDING=dir] [DATE=YYYY-MM-DD] [LANG=zh|en]"
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1 - \2/'

setup: ## make the environment in .venv, once per lock file
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh requirements/setup.sh

nightly: setup ## one night: the sample's, or LANDING's
	@$(RUN) -m safehands_airflow.nightly --landing "$(LANDING)" --date "$(DATE)"

handover: setup ## play a hand-over on made-up stations, in every mode (MODE=asset_deal for one)
	@$(VENV)/bin/safehands handover play $(if $(MODE),--mode $(MODE))

up: setup ## start Airflow on 127.0.0.1 (SAFEHANDS_PORT, 28080)
	@$(RUN) -m safehands_airflow.launcher up

down: setup ## stop Airflow and the embedded database
	@$(RUN) -m safehands_airflow.launcher down

logins: setup ## people who log in by role: ARGS="list", "add NAME --role officer", "password NAME", "remove NAME"
	@$(RUN) -m safehands_airflow.logins $(ARGS)

test: setup ## run all tests
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-served: setup ## the tests of the store on a PostgreSQL that runs: SERVER=postgresql://…
	@SAFEHANDS_TEST_SERVER="$(SERVER)" $(RUN) -m pytest tests/store tests/pseudonymise tests/purge tests/backup $(ARGS)

check: setup ## lint, format, types, import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy include plugins dags
	$(VENV)/bin/lint-imports

audit: setup ## bill of materials, licences, known holes, no secret in the repository (STRICT=1 for a release)
	@$(RUN) requirements/audit.py

bench: setup ## a million parcels beside a bare COPY; ingest, detectors, keys, backup, risk, hand-over
	@$(RUN) tests/bench/nightly.py $(ARGS)
	@$(RUN) tests/bench/ingest.py
	@$(RUN) tests/bench/detectors.py
	@$(RUN) tests/bench/keys.py
	@$(RUN) tests/bench/rights.py --people 1000000 --parcels 10000000
	@$(RUN) tests/bench/backup.py
	@$(RUN) tests/bench/incidents.py
	@$(RUN) tests/bench/risk.py $(if $(WITH),--peers $(WITH))
	@$(RUN) tests/bench/handover.py
	@$(RUN) tests/bench/dashboards.py

bench-risk: setup ## re-identification figures of 5,000,000 rows; WITH=python that has pycanon and anjana
	@$(RUN) tests/bench/risk.py $(if $(WITH),--peers $(WITH)) $(ARGS)

.PHONY: compose-up scale-test bench-chain bench-growth
compose-up: ## everything in containers, with Celery workers: docs/deployment.md
	@sh docker/prepare.sh
	@docker compose up --build --detach

scale-test: setup ## the night on two Celery workers, one killed in every step
	@SAFEHANDS_SCALE=1 $(RUN) -m pytest -s tests/scale $(ARGS)

bench-chain: setup ## a thousand stations and a million parcels on Celery workers
	@$(RUN) tests/bench/chain.py $(ARGS)

bench-growth: setup ## the same night on 1, 3 and 10 times the history
	@$(RUN) tests/bench/growth.py $(ARGS)

configuration: setup ## write docs/configuration.md from the settings
	@$(RUN) -m safehands.configuration

torture: setup ## the long enumerations: a kill at every point
	@SAFEHANDS_TORTURE=1 $(RUN) -m pytest -s tests/promises tests/keys tests/erasure/test_erasure_kill.py tests/transfer/test_transfer_kill.py $(ARGS)

clean: setup ## remove the installation in .safehands (asks; FORCE=1 does not)
	@$(RUN) -m safehands_airflow.clean $(if $(FORCE),--force)
