"""Columns through binary COPY and back are the same columns."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from safehands.keys import FileProvider
from safehands.store import Store, driver
from safehands.store.bulk import (
    EPOCH_SHIFT,
    INFINITY,
    NOBODY,
    Kind,
    by_width,
    copy_in,
    copy_out,
    read_out,
    uuids,
)

KINDS: tuple[Kind, ...] = ("i2", "i4", "i8", "ts", "uuid")
# PostgreSQL's timestamps reach from 4713 BC further than 64 bits of microseconds since 1970 do.
EARLIEST, LATEST = -210_866_803_200_000_000, INFINITY - 1


@pytest.fixture(scope="module")
def raw(cluster: Any) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(cluster.clone(), FileProvider(Path(folder), Path(folder)))
        with store.admin().connect() as connection:
            connection.execute(
                text("CREATE TEMP TABLE t (n int, a int2, b int4, c int8, d timestamptz, e uuid)")
            )
            yield driver(connection)
        store.close()


def ints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


ROWS = st.lists(
    st.tuples(
        ints(16),
        ints(32),
        ints(64),
        st.integers(EARLIEST, LATEST) | st.just(INFINITY),
        st.binary(min_size=16, max_size=16) | st.just(NOBODY),
    ),
    max_size=12,
)


def columns(rows: list[tuple[Any, ...]]) -> list[tuple[Kind, Any]]:
    lists = list(zip(*rows, strict=True)) or [()] * 5
    arrays: list[Any] = [
        np.array(lists[0], dtype=np.int16),
        np.array(lists[1], dtype=np.int32),
        np.array(lists[2], dtype=np.int64),
        np.array(lists[3], dtype=np.int64),
        uuids(list(lists[4])),
    ]
    return list(zip(KINDS, arrays, strict=True))


@given(ROWS)
def test_what_goes_in_comes_out(raw: Any, rows: list[tuple[Any, ...]]) -> None:
    raw.execute("TRUNCATE t")
    order = np.arange(len(rows), dtype=np.int32)
    copy_in(raw, "t (a, b, c, d, e, n)", [*columns(rows), ("i4", order)])
    found = copy_out(raw, "SELECT a, b, c, d, e FROM t ORDER BY n", KINDS)
    for (_, given_values), values in zip(columns(rows), found, strict=True):
        assert values.tolist() == given_values.tolist()
    whole = read_out(raw, "SELECT a, b, c, d, e, n FROM t", (*KINDS, "i4"))
    back = np.argsort(whole[-1])
    assert [one[back].tolist() for one in whole[:-1]] == [one.tolist() for one in found]


def test_the_database_reads_the_same_values(raw: Any) -> None:
    raw.execute("TRUNCATE t")
    moment = datetime(2026, 11, 23, 15, 59, 59, 999_999, tzinfo=UTC)
    micros = EPOCH_SHIFT + int((moment - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() * 10**6)
    token = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    rows = [(-1, 2**31 - 1, -(2**63), micros, token.bytes), (0, 0, 0, INFINITY, NOBODY)]
    copy_in(raw, "t (a, b, c, d, e)", columns(rows))
    query = "SELECT a, b, c, CASE WHEN isfinite(d) THEN d END, e, isfinite(d) FROM t ORDER BY a"
    assert raw.execute(query).fetchall() == [
        (-1, 2**31 - 1, -(2**63), moment, token, True),
        (0, 0, 0, None, uuid.UUID(int=0), False),
    ]


def test_more_rows_than_one_slice_arrive_whole(raw: Any) -> None:
    raw.execute("TRUNCATE t")
    many = np.arange(150_001, dtype=np.int32)
    copy_in(raw, "t (n)", [("i4", many)])
    assert np.array_equal(copy_out(raw, "SELECT n FROM t ORDER BY n", ["i4"])[0], many)


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=20))
def test_bytes_are_grouped_by_width_and_none_is_lost(raw: Any, values: list[bytes]) -> None:
    raw.execute("CREATE TEMP TABLE IF NOT EXISTS blobs (n int, b bytea)")
    raw.execute("TRUNCATE blobs")
    for positions, group in by_width(values):
        copy_in(raw, "blobs (n, b)", [("i4", positions), ("bytes", group)])
    found = raw.execute("SELECT b FROM blobs ORDER BY n").fetchall()
    assert [bytes(row[0]) for row in found] == values
