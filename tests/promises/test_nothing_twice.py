"""The same night once more does nothing: in the store, in the backups, in the report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from promise_base import files_below
from sqlalchemy import text

from safehands import pipeline
from safehands.errors import TruncatedFile
from safehands.installation import Installation
from safehands.sample.canaries import write_canary_landing
from safehands.status import status

BUSINESS_DATE = date(2026, 11, 23)


def test_the_second_night_of_a_day_changes_nothing(install: Callable[[], Installation]) -> None:
    inst = install()
    write_canary_landing(inst.settings.landing, BUSINESS_DATE)
    first = pipeline.nightly(inst, BUSINESS_DATE, _quietly)
    before = (status(inst), _rows(inst), _files(inst))
    second = pipeline.nightly(install(), BUSINESS_DATE, _quietly)
    assert (len(first.shards), first.known) == (2, 0)
    assert (len(second.shards), second.known) == (0, 4)
    assert (status(inst), _rows(inst), _files(inst)) == before


def test_nor_does_it_when_files_wait_for_a_person(install: Callable[[], Installation]) -> None:
    inst = install()
    write_canary_landing(inst.settings.landing, BUSINESS_DATE, broken=True)
    with pytest.raises(TruncatedFile):
        pipeline.nightly(inst, BUSINESS_DATE, _quietly)
    before = (status(inst), _rows(inst), _files(inst))
    with pytest.raises(TruncatedFile):
        pipeline.nightly(install(), BUSINESS_DATE, _quietly)
    assert (status(inst), _rows(inst), _files(inst)) == before


def test_a_report_that_was_lost_is_made_anew_byte_for_byte(
    install: Callable[[], Installation],
) -> None:
    inst = install()
    write_canary_landing(inst.settings.landing, BUSINESS_DATE)
    pipeline.nightly(inst, BUSINESS_DATE, _quietly)
    before = (_rows(inst), _files(inst))
    for path in files_below(inst.settings.reports):
        path.unlink()
    pipeline.nightly(inst, BUSINESS_DATE, _quietly)
    assert (_rows(inst), _files(inst)) == before


def _quietly(step: str, shard: str, event: str) -> None:
    """Tell nobody."""


def _rows(inst: Installation) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with inst.store.admin().begin() as connection:
        names = [row[0] for row in connection.execute(text(_TABLES))]
        return {
            n: list(connection.execute(text(f"SELECT * FROM {n} ORDER BY 1, 2"))) for n in names
        }


def _files(inst: Installation) -> dict[Path, bytes]:
    """Return every file of the home: keys, backups, reports."""
    return {path: path.read_bytes() for path in files_below(inst.settings.home)}


_TABLES = (
    "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') AND NOT relispartition"
    " AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) > 1"
    " ORDER BY 1"
)
