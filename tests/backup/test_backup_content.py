from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safehands.backup.content import content_digest, from_parquet, to_parquet
from safehands.backup.reading import ARROW
from safehands.errors import BackupBroken

KEY = b"k" * 32
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i2": st.integers(-(2**15), 2**15 - 1),
    "i4": st.integers(-(2**31), 2**31 - 1),
    "i8": st.integers(-(2**63), 2**63 - 1),
    "f8": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "date": st.dates(),
    "ts": st.datetimes(timezones=st.just(UTC)),
    "uuid": st.binary(min_size=16, max_size=16),
    "text": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 6))
    columns = {}
    for kind in draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True)):
        cells = st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)
        columns[kind] = pa.array(draw(cells), ARROW[kind])  # type: ignore[index]
    return pa.table(columns)


@settings(max_examples=35, deadline=None)
@given(tables())
def test_parquet_and_back_has_the_same_digest(table: pa.Table) -> None:
    wanted = content_digest(table, KEY)
    assert content_digest(from_parquet(to_parquet(table, "t/1"), "t/1"), KEY) == wanted


@settings(max_examples=35, deadline=None)
@given(tables(), st.integers(0, 6))
def test_slices_and_chunks_have_the_digest_of_their_rows(table: pa.Table, cut: int) -> None:
    pieces = [table.slice(0, cut), table.slice(cut)]
    assert content_digest(pa.concat_tables(pieces), KEY) == content_digest(table, KEY)
    rebuilt = pa.Table.from_pylist(pieces[1].to_pylist(), schema=table.schema)
    assert content_digest(pieces[1], KEY) == content_digest(rebuilt, KEY)


@settings(max_examples=35, deadline=None)
@given(tables(), tables())
def test_different_rows_have_different_digests(one: pa.Table, other: pa.Table) -> None:
    same = one.schema == other.schema and one.to_pylist() == other.to_pylist()
    # 0.0 equals -0.0 and is stored differently; the digest goes by what is stored.
    same = same and repr(one.to_pylist()) == repr(other.to_pylist())
    assert (content_digest(one, KEY) == content_digest(other, KEY)) == same


NEIGHBOURS = [
    ({"text": ["ab", "c"]}, {"text": ["a", "bc"]}),
    ({"text": [None]}, {"text": [""]}),
    ({"i4": [None]}, {"i4": [0]}),
    ({"uuid": [None]}, {"uuid": [b"\0" * 16]}),
    ({"bool": [None, True]}, {"bool": [False, True]}),
    ({"ts": [None]}, {"ts": [datetime(1970, 1, 1, tzinfo=UTC)]}),
    ({"text": ["a"]}, {"bytes": [b"a"]}),
    ({"i4": [1, 2]}, {"i4": [2, 1]}),
    ({"i4": []}, {"text": []}),
]


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
def test_neighbours_are_told_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = (
        pa.table({"x": pa.array(values, ARROW[kind])})  # type: ignore[index]
        for case in (one, other)
        for kind, values in case.items()
    )
    assert content_digest(first, KEY) != content_digest(second, KEY)


def test_the_name_of_a_column_and_the_key_count() -> None:
    values = pa.array([1], pa.int32())
    digests = {
        content_digest(pa.table({"a": values}), KEY),
        content_digest(pa.table({"b": values}), KEY),
        content_digest(pa.table({"a": values}), b"other key"),
    }
    assert len(digests) == 3


def test_the_layout_is_the_one_that_is_documented() -> None:
    table = pa.table({"n": pa.array([1, None], pa.int16()), "s": pa.array(["é", ""], pa.string())})
    layout = (
        b"safehands-part/1\0" + b"\2\0\0\0\0\0\0\0" + b"\2\0\0\0"
        b"\1\0n" + b"\2\0i2" + b"\1" + b"\1\0" + b"\1\0" + b"\0\0"
        b"\1\0s" + b"\4\0text" + b"\0" + b"\2\0\0\0" + b"\0\0\0\0" + "é".encode()
    )
    assert content_digest(table, KEY) == hmac.new(KEY, layout, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "parquet"),
        (b"PAR1 but no more", "parquet"),
        (to_parquet(pa.table({"a": pa.array([1], pa.int16())}), "t/2"), "name"),
    ],
)
def test_what_is_not_the_part_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(BackupBroken) as caught:
        from_parquet(data, "t/1")
    assert caught.value.params == {"part": "t/1", "what": what}
