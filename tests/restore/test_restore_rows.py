"""Arrow to COPY: whatever lies in a part lies in the table afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from safehands.backup.reading import ARROW, read_rows
from safehands.backup.tables import Column, Kind, Split, Table
from safehands.restore import rows as module
from safehands.restore.rows import HEAD, TAIL, encode

TYPES: dict[str, tuple[Kind, str]] = {
    "id": ("i8", "bigint"),
    "small": ("i2", "smallint"),
    "whole": ("i4", "int"),
    "share": ("f8", "double precision"),
    "flag": ("bool", "boolean"),
    "day": ("date", "date"),
    "at": ("ts", "timestamptz"),
    "who": ("uuid", "uuid"),
    "name": ("text", "text"),
    "facts": ("text", "jsonb"),
    "sealed": ("bytes", "bytea"),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "share": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "day": st.dates(),
    "at": st.datetimes(timezones=st.just(UTC)),
    "who": st.binary(min_size=16, max_size=16),
    "name": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    "facts": st.sampled_from(["{}", '{"a": 1}', "null", '"名"', "[1, 2.50]"]),
    "sealed": st.binary(max_size=9),
}
COLUMNS = tuple(Column(name, kind, name != "id") for name, (kind, _) in TYPES.items())
TABLE = Table("copied", COLUMNS, ("id",), Split(ids="id"))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(0, 7))
    columns: dict[str, Any] = {"id": pa.array(range(count), pa.int64())}
    for name, values in VALUES.items():
        cells = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[name] = pa.array(cells, ARROW[TYPES[name][0]])
    start = draw(st.integers(0, count))
    return pa.table({name: columns[name] for name in TYPES}).slice(start)


@pytest.fixture(scope="module")
def raw(cluster: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**cluster.server.conninfo("postgres")) as connection:
        shown = ", ".join(f"{name} {kind}" for name, (_, kind) in TYPES.items())
        connection.execute(f"CREATE TEMP TABLE copied ({shown}, PRIMARY KEY (id))".encode())
        yield connection
        connection.rollback()


def load(raw: psycopg.Connection[Any], table: pa.Table) -> pa.Table:
    raw.execute("DELETE FROM copied")
    names = ", ".join(table.column_names)
    with raw.cursor().copy(f"COPY copied ({names}) FROM STDIN (FORMAT binary)".encode()) as copy:
        copy.write(HEAD)
        for piece in encode(table, {"facts"}):
            copy.write(piece)
        copy.write(TAIL)
    return read_rows(raw, TABLE, sql.SQL("true"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_any_table_reads_back_as_it_was(raw: psycopg.Connection[Any], table: pa.Table) -> None:
    assert load(raw, table).to_pylist() == table.to_pylist()


def test_columns_may_stand_in_any_order(raw: psycopg.Connection[Any]) -> None:
    row = {"id": 1, "name": "a", "sealed": b"\0", "small": -1}
    types = {name: ARROW[kind] for name, (kind, _) in TYPES.items()}
    columns = {name: pa.array([row.get(name)], types[name]) for name in reversed(TYPES)}
    assert load(raw, pa.table(columns)).to_pylist() == [{name: row.get(name) for name in TYPES}]


def test_endless_times_stay_endless(raw: psycopg.Connection[Any]) -> None:
    raw.execute("DELETE FROM copied")
    raw.execute(
        "INSERT INTO copied (id, at, day) VALUES (1, 'infinity', 'infinity'),"
        " (2, '-infinity', '-infinity'), (3, '1969-12-31 23:59:59.999999+00', '1969-12-31')"
    )
    before = read_rows(raw, TABLE, sql.SQL("true"))
    assert load(raw, before).equals(before)
    found = raw.execute("SELECT at::text, day::text FROM copied ORDER BY id").fetchall()
    assert found[0] == ("infinity", "infinity")
    assert found[1] == ("-infinity", "-infinity")


def test_many_slices_are_one_table(
    raw: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLICE", 3)
    columns = {
        name: pa.array([None] * 10 if name != "id" else range(10), ARROW[kind])
        for name, (kind, _) in TYPES.items()
    }
    columns["name"] = pa.array([str(i) * i if i % 3 else None for i in range(10)], pa.string())
    columns["at"] = pa.array(
        [datetime(2026, 11, i + 1, tzinfo=UTC) for i in range(10)], ARROW["ts"]
    )
    table = pa.table(columns)
    assert load(raw, table).to_pylist() == table.to_pylist()
