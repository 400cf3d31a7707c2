# One entry for everything. `make` alone lists what there is.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cksum requirements/lock.txt pyproject.toml | cksum | cut -d' ' -f1)
RUN := $(BIN)/python -m
LANDING ?=
DATE ?=
FORCE ?=
NIGHT := $(if $(LANDING),--landing "$(LANDING)") $(if $(DATE),--date "$(DATE)")

.DEFAULT_GOAL := help
.PHONY: help setup nightly up down test check bench torture clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(STAMP)  ## make the environment in .venv (the other commands do it by themselves)

$(STAMP): requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Safehands needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …"; exit 3; }
	@echo "Making the environment (a few minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(RUN) pip install -q --disable-pip-version-check --retries 5 --require-hashes --no-deps -r requirements/lock.txt
	@$(RUN) pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(RUN) compileall -q -j 0 $(VENV)/lib include plugins >/dev/null 2>&1 || true
	@rm -f $(VENV)/.installed-* && touch $@

nightly: $(STAMP)  ## a night of governance in Airflow (LANDING=/folder for your own exports)
	@$(RUN) safehands_airflow.nightly $(NIGHT)

up: $(STAMP)  ## start the whole of Airflow; prints address and login
	@$(RUN) safehands_airflow.launcher up

down: $(STAMP)  ## stop it
	@$(RUN) safehands_airflow.launcher down

test: $(STAMP)  ## run all tests
	@$(RUN) pytest -n 2 --dist loadfile

check: $(STAMP)  ## style, types and the architecture's contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy include plugins
	@$(BIN)/lint-imports

bench: $(STAMP)  ## the chain on 1,000,000 parcels, beside a bare COPY
	@$(BIN)/python tests/bench/nightly.py

torture: $(STAMP)  ## kill a night at every point there is (long)
	@SAFEHANDS_TORTURE=1 $(RUN) pytest tests/promises/test_kill.py

clean: $(STAMP)  ## stop the database and remove what Safehands wrote (asks; FORCE=1 does not)
	@if [ -z "$(FORCE)" ]; then printf 'Remove .safehands with its keys, store and backups? Type yes: '; \
	  read answer; [ "$$answer" = yes ]; fi
	@$(BIN)/safehands remove
	@rm -rf .safehands
