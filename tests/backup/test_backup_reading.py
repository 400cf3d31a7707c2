from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from safehands.backup.reading import ARROW, read_rows
from safehands.backup.tables import Column, Kind, Split, Table
from safehands.errors import BackupBroken

EVERYTHING = sql.SQL("true")
KINDS: dict[str, Kind] = {
    "id": "uuid",
    "small": "i2",
    "number": "i4",
    "large": "i8",
    "share": "f8",
    "flag": "bool",
    "day": "date",
    "at": "ts",
    "words": "text",
    "facts": "text",
    "sealed": "bytes",
}
CREATE = (
    "CREATE TEMP TABLE odd (id uuid, small int2, number int4, large int8, share float8, flag bool,"
    " day date, at timestamptz, words text, facts jsonb, sealed bytea)"
)


@pytest.fixture(scope="module")
def connection(cluster: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**cluster.server.conninfo("postgres")) as made:
        made.execute(CREATE)
        yield made


@pytest.fixture
def odd(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    connection.execute("TRUNCATE odd")
    return connection


def table(key: tuple[str, ...] = ("id",), nullable: bool = True, *names: str) -> Table:
    columns = (Column(n, k, nullable) for n, k in KINDS.items() if not names or n in names)
    return Table("odd", tuple(columns), key, Split())


def insert(connection: psycopg.Connection[Any], *rows: tuple[Any, ...]) -> None:
    values = ", ".join(["%s"] * len(KINDS))
    for row in rows:
        connection.execute(f"INSERT INTO odd VALUES ({values})", row)


FULL = (
    UUID(int=(1 << 128) - 1),
    -32768,
    2**31 - 1,
    -(2**63),
    -0.5,
    True,
    date(1969, 12, 31),
    datetime(1931, 1, 1, 1, 1, 1, 999999, UTC),
    "驿站 'quoted' \t",
    '{"b": [1, null], "a": "号"}',
    b"\x00\xff",
)


def test_values_arrive_as_they_are_and_missing_ones_stay_missing(
    odd: psycopg.Connection[Any],
) -> None:
    empty = (UUID(int=1), *[None] * 10)
    insert(odd, FULL, empty)
    found = read_rows(odd, table(), EVERYTHING)
    assert found.schema.names == list(KINDS)
    assert [field.type for field in found.schema] == [ARROW[k] for k in KINDS.values()]
    first, second = found.to_pylist()
    assert tuple(first.values()) == (UUID(int=1).bytes, *[None] * 10)
    assert second["facts"] == '{"a": "号", "b": [1, null]}'
    wanted = (FULL[0].bytes, *FULL[1:9], FULL[10])
    assert tuple(v for n, v in second.items() if n != "facts") == wanted
    found.validate(full=True)


def test_infinity_is_neither_missing_nor_wrapped_around(odd: psycopg.Connection[Any]) -> None:
    odd.execute(
        "INSERT INTO odd (id, day, at) VALUES (%s, 'infinity', 'infinity'),"
        " (%s, '-infinity', '-infinity'), (%s, NULL, NULL)",
        [UUID(int=n) for n in (1, 2, 3)],
    )
    found = read_rows(odd, table(("id",), True, "id", "day", "at"), EVERYTHING)
    large, small = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    assert found["at"].cast(pa.int64()).to_pylist() == [large, small, None]
    assert found["day"].cast(pa.int32()).to_pylist() == [2**31 - 1, -(2**31), None]


@pytest.mark.parametrize(
    "key", [("id",), ("number", "id"), ("flag", "number", "id"), ("words", "id"), ("sealed", "id")]
)
def test_rows_are_sorted_by_the_primary_key(
    odd: psycopg.Connection[Any], key: tuple[str, ...]
) -> None:
    odd.execute(
        "INSERT INTO odd SELECT (left(md5((i / 3)::text), 16) || left(md5(i::text), 16))::uuid,"
        " 1, i % 5 - 2, i, i, i % 2 = 0, 'epoch', 'epoch', chr(97 + i % 7), '0',"
        " decode(lpad(to_hex(i % 9), 2, '0'), 'hex') FROM generate_series(1, 300) i"
    )
    found = read_rows(odd, table(key, False), EVERYTHING).to_pylist()
    assert len(found) == 300
    marks = [tuple(row[name] for name in key) for row in found]
    assert marks == sorted(marks)


@pytest.mark.parametrize("names", [("id", "at"), ("id", "words")])
def test_no_rows_make_an_empty_table(odd: psycopg.Connection[Any], names: tuple[str, ...]) -> None:
    found = read_rows(odd, table(("id",), True, *names), EVERYTHING)
    assert found.num_rows == 0
    found.validate(full=True)


def test_a_refusal_of_the_database_names_the_table_only(odd: psycopg.Connection[Any]) -> None:
    insert(odd, FULL)
    failing = sql.SQL("1 / (small::int8 - small) > 0")
    with pytest.raises(BackupBroken) as caught:
        read_rows(odd, table(), failing)
    assert caught.value.params == {"table": "odd", "reason": "22012"}
    odd.rollback()
    odd.execute(CREATE)
