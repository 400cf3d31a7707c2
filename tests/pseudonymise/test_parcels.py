"""Repeats of a parcel are merged into what is known latest, whatever the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from safehands.keys import KeyRing
from safehands.pseudonymise.parcels import Parcels, from_table, merged, take
from safehands.store.bulk import INFINITY, NOBODY, uuids

RING = KeyRing("A", 1, 1, b"d" * 32, b"t" * 32, b"e" * 32)
REUSE = 1000


@dataclass(frozen=True)
class Row:
    number: str
    carrier: int
    arrived: int
    collected: int | None
    status: int


def table(rows: list[Row]) -> Any:
    small, moment = pa.int16(), pa.timestamp("us", "UTC")
    count = len(rows)
    return pa.table(
        {
            "_file": pa.array(range(count), pa.int32()),
            "waybill_no": pa.array([r.number for r in rows], pa.string()),
            "carrier": pa.array([r.carrier for r in rows], small),
            "district": pa.array([0] * count, pa.int32()),
            "in_custody": pa.array([r.collected is None for r in rows], pa.bool_()),
            "status": pa.array([r.status for r in rows], small),
            "weight_band": pa.array([0] * count, small),
            "tags": pa.array([0] * count, small),
            "arrived_at": pa.array([r.arrived for r in rows], moment),
            "collected_at": pa.array([r.collected for r in rows], moment),
        }
    )


def kept(rows: list[Row]) -> Parcels:
    whole = from_table(table(rows), RING)
    nobody = uuids([NOBODY] * len(whole))
    nowhere = np.zeros(len(whole), dtype=np.int32)
    return take(whole, merged(whole, REUSE, nowhere, nobody))


def content(parcels: Parcels) -> list[tuple[Any, ...]]:
    columns = (parcels.waybill, parcels.arrived, parcels.collected, parcels.status)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def naive(rows: list[Row]) -> set[tuple[Any, ...]]:
    """Keep, per waybill and use of it, the row that is known latest."""
    best: set[tuple[Any, ...]] = set()
    for key in {(r.number, r.carrier) for r in rows}:
        own = sorted((r for r in rows if (r.number, r.carrier) == key), key=lambda r: r.arrived)
        uses: list[list[Row]] = []
        for i, row in enumerate(own):
            if i == 0 or row.arrived - own[i - 1].arrived >= REUSE:
                uses.append([])
            uses[-1].append(row)
        for use in uses:
            row = max(use, key=_rank)
            done = INFINITY if row.collected is None else row.collected
            best.add((key, row.arrived, done, row.status))
    return best


def _rank(row: Row) -> tuple[int | bool, ...]:
    done = INFINITY if row.collected is None else row.collected
    known = max(row.arrived, row.collected or 0)
    return known, row.collected is not None, row.arrived, done, row.status


ROWS = st.lists(
    st.builds(
        Row,
        number=st.sampled_from(["W1", "W2", "SF123"]),
        carrier=st.integers(0, 2),
        arrived=st.integers(1, 5000),
        collected=st.none() | st.integers(1, 5000),
        status=st.integers(0, 4),
    ),
    max_size=20,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert content(kept(rows)) == content(kept(shuffled))


@given(ROWS)
def test_of_repeats_the_latest_knowledge_is_kept(rows: list[Row]) -> None:
    pairs = sorted({(r.number, r.carrier) for r in rows})
    numbers = pa.chunked_array([pa.array([p[0] for p in pairs], pa.string())])
    tokens = RING.waybills(np.array([p[1] for p in pairs], dtype=np.int16), numbers)
    name_of = dict(zip(tokens.tolist(), pairs, strict=True))
    found = [(name_of[token], *rest) for token, *rest in content(kept(rows))]
    assert set(found) == naive(rows)
    assert len(found) == len(set(found))


@given(ROWS)
def test_what_is_kept_is_in_token_order_and_points_to_its_row(rows: list[Row]) -> None:
    parcels = kept(rows)
    assert parcels.waybill.tolist() == sorted(parcels.waybill.tolist())
    for row, arrived in zip(parcels.row.tolist(), parcels.arrived.tolist(), strict=True):
        assert rows[row].arrived == arrived
    assert parcels.file.tolist() == parcels.row.tolist()


def test_a_carrier_and_number_are_not_run_together() -> None:
    rows = [Row("1W", 1, 1, None, 1), Row("W", 11, 1, None, 1)]
    assert len(kept(rows)) == 2
