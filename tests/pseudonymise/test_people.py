"""Segments found by columns are those that a row-by-row reading finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.pseudonymise.people import NONE, Sightings, gather, segments, weight

GAP = 10


@dataclass
class Segment:
    """What the naive reading knows of one person's stretch."""

    phone: str
    first: int
    last: int
    active: int
    name: str | None
    address: str | None
    name_at: int = 0
    address_at: int = 0
    rows: list[int] = field(default_factory=list)


Row = tuple[str | None, str | None, str | None, int, int]


def naive(rows: list[Row]) -> list[Segment]:
    """Read each number's rows in order of time; open a segment at a rename after silence.

    Of two values said at one moment the longer stands, then the later in code point order.
    """
    found: list[Segment] = []
    for phone in sorted({row[0] for row in rows if row[0] is not None}):
        own = [(row, i) for i, row in enumerate(rows) if row[0] == phone]
        own.sort(key=lambda pair: pair[0][3])
        known: str | None = None
        before = None
        for (_, name, address, at, active), i in own:
            renamed = None not in (name, known) and name != known
            if before is None or (at - before > GAP and renamed):
                found.append(Segment(phone, at, at, active, None, None))
            segment = found[-1]
            segment.last, segment.active = at, max(segment.active, active)
            said = (segment.name_at, weight(segment.name or ""), segment.name)
            if name and (at, weight(name)) >= said[:2]:
                segment.name, segment.name_at = name, at
            said = (segment.address_at, weight(segment.address or ""), segment.address)
            if address and (at, weight(address)) >= said[:2]:
                segment.address, segment.address_at = address, at
            segment.rows.append(i)
            known, before = name or known, at
    return found


def sightings(rows: list[Row], cuts: tuple[int, ...] = ()) -> Sightings:
    """Make sightings of ``rows``, handed over in several parts and chunks."""
    edges = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts = []
    for start, stop in pairwise(edges):
        columns = list(zip(*rows[start:stop], strict=True)) or [(), (), (), (), ()]
        texts = [pa.chunked_array([pa.array(c, pa.string())]) for c in columns[:3]]
        numbers = [np.array(c, dtype=np.int64) for c in columns[3:]]
        named = dict(zip(("phone", "name", "address"), texts, strict=True))
        parts.append({**named, "at": numbers[0], "active": numbers[1]})
    return gather(parts)


ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "p", "q", "r"]),
        st.sampled_from([None, "甲", "乙"]),
        st.sampled_from([None, "x", "y"]),
        st.integers(0, 60),
        st.integers(0, 99),
    ),
    max_size=25,
)


@given(ROWS, st.tuples(st.integers(0, 25), st.integers(0, 25)))
def test_columns_and_rows_find_the_same_people(rows: list[Row], cuts: tuple[int, int]) -> None:
    seen = sightings(rows, cuts)
    folk = segments(seen, GAP)
    wanted = {tuple(segment.rows): segment for segment in naive(rows)}
    assert len(folk.phone) == len(wanted)
    for n in range(len(folk.phone)):
        rows_of = sorted(np.flatnonzero(folk.of_sighting == n), key=lambda i: (seen.at[i], i))
        segment = wanted[tuple(int(i) for i in rows_of)]
        assert seen.phones[folk.phone[n]] == segment.phone
        span = (folk.first[n], folk.last[n], folk.active[n])
        assert span == (segment.first, segment.last, segment.active)
        assert _value(seen.names, folk.name[n]) == segment.name
        assert _value(seen.addresses, folk.address[n]) == segment.address
        assert (folk.name_at[n], folk.address_at[n]) == (segment.name_at, segment.address_at)
    assert [i for i, row in enumerate(rows) if row[0] is None] == np.flatnonzero(
        folk.of_sighting == NONE
    ).tolist()


def _value(values: list[str], position: int) -> str | None:
    return None if position == NONE else values[position]


@pytest.mark.parametrize(("gap", "people"), [(GAP, 1), (GAP + 1, 2)])
def test_the_silence_must_be_longer_than_the_limit(gap: int, people: int) -> None:
    rows: list[Row] = [("p", "甲", None, 0, 0), ("p", "乙", None, gap, 0)]
    assert len(segments(sightings(rows), GAP).phone) == people


def test_no_sightings_are_no_people() -> None:
    folk = segments(gather([]), GAP)
    assert len(folk.phone) == len(folk.of_sighting) == 0
