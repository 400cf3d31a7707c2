"""Small canonical tables, clean and dirty, and a shard around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from safehands.artifacts import write_artifact
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.night import Night

DAY = date(2026, 11, 23)
MIDNIGHT = datetime(2026, 11, 23, 16, tzinfo=UTC)
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
REFERENCES = [("_file", pa.int32()), ("_sheet", pa.string()), ("_row", pa.int32())]
SCHEMAS = {
    "parcels": pa.schema(
        [
            *REFERENCES,
            ("waybill_no", pa.string()),
            ("carrier", pa.int16()),
            ("receiver_name", pa.string()),
            ("receiver_phone", pa.string()),
            ("phone_kind", pa.int8()),
            ("receiver_address", pa.string()),
            ("pickup_code", pa.string()),
            ("shelf", pa.string()),
            ("status", pa.int16()),
            ("weight", pa.float64()),
            ("arrived_at", TIME),
            ("collected_at", TIME),
            ("remark", pa.string()),
        ]
    ),
    "customers": pa.schema(
        [
            *REFERENCES,
            ("receiver_phone", pa.string()),
            ("phone_kind", pa.int8()),
            ("receiver_name", pa.string()),
            ("receiver_address", pa.string()),
            ("updated_at", TIME),
        ]
    ),
    "preferences": pa.schema(
        [
            *REFERENCES,
            ("receiver_phone", pa.string()),
            ("phone_kind", pa.int8()),
            ("notify_channel", pa.int16()),
            ("delivery_choice", pa.int16()),
            ("time_window", pa.int16()),
            ("marketing", pa.int8()),
            ("updated_at", TIME),
        ]
    ),
    "quarantine": pa.schema(
        [
            *REFERENCES,
            ("dataset", pa.string()),
            ("rule", pa.string()),
            ("column", pa.string()),
            ("payload", pa.string()),
        ]
    ),
}
CLEAN: dict[str, dict[str, Any]] = {
    "parcels": {
        "carrier": 1,
        "receiver_name": "李四",
        "receiver_phone": "13900001111",
        "phone_kind": 1,
        "receiver_address": "文三路一号",
        "pickup_code": "1-2-3",
        "shelf": "A",
        "status": 1,
        "weight": 1.5,
        "arrived_at": NOON,
    },
    "customers": {"phone_kind": 1, "receiver_name": "李四", "updated_at": NOON},
    "preferences": {
        "phone_kind": 1,
        "notify_channel": 1,
        "delivery_choice": 1,
        "time_window": 1,
        "marketing": 0,
        "updated_at": NOON,
    },
    "quarantine": {"dataset": "parcels", "rule": "ingest.odd", "column": "", "payload": "{}"},
}
Rows = Sequence[Mapping[str, Any]]


def table(dataset: str, rows: Rows) -> pa.Table:
    """Return a canonical table: what a row leaves out is clean, its key derived from its place."""
    full = [{**_clean(dataset, at), **row} for at, row in enumerate(rows)]
    return pa.Table.from_pylist(full, schema=SCHEMAS[dataset])


def _clean(dataset: str, at: int) -> dict[str, Any]:
    key: dict[str, Any] = {"_file": 0, "_sheet": "", "_row": at + 2}
    if dataset == "parcels":
        key["waybill_no"] = f"SF{at:010}"
    elif dataset != "quarantine":
        key["receiver_phone"] = f"139{at:08}"
    return {**CLEAN[dataset], **key}


def shard(*stations: str) -> Shard:
    """Return a shard with one file per named station, numbered."""
    files = [SourceFile(s, f"{s}/export-{i}.csv", 1, f"{i:064}") for i, s in enumerate(stations)]
    return Shard("s01", "owner", tuple(files))


def handoff(night: Night, of: Shard, **tables: pa.Table) -> Handoff:
    """Return what ingest would hand on with these tables."""
    artifacts = {n: write_artifact(t, night.work, n, night.key) for n, t in tables.items()}
    return Handoff(night.run, "ingest", of, artifacts, details={"columns": {"read": 3}})


def rechunked(whole: pa.Table, at: int) -> pa.Table:
    """Return the same rows in two chunks, as a file with several row groups gives them."""
    return pa.concat_tables([whole.slice(0, at), whole.slice(at)])


def _maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


TIMES = _maybe(
    NOON,
    NOON - timedelta(days=2),
    NOON - timedelta(days=30),
    MIDNIGHT,
    MIDNIGHT + timedelta(microseconds=1),
    datetime(2016, 11, 22, 16, tzinfo=UTC),
    datetime(2016, 11, 22, 15, 59, 59, 999999, tzinfo=UTC),
    datetime(1899, 12, 30, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
)
PHONES = _maybe(
    "13900001111",
    "13900001112",
    "139****1111",
    "1390000111",
    "13900001111\n",
    "１３９００００１１１１",
    "0571-88888888",
    "",
)
DIRTY: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "parcels": {
        "waybill_no": _maybe("SF0001", "SF0002", "SF-0003", "运单 1", "", "SF0001\n", "A" * 33),
        "carrier": _maybe(0, 1, 2),
        "receiver_name": _maybe("李四", "13900001111", "a1234567b", "\n7654321", "١٢٣٤٥٦٧٨", ""),
        "receiver_phone": PHONES,
        "phone_kind": _maybe(0, 1, 2, 3, 4, 5, 6),
        "shelf": _maybe("A"),
        "status": _maybe(0, 1, 2, 3),
        "weight": _maybe(0.0, -0.5, 200.0, 200.5, float("nan"), float("inf"), 1.5),
        "arrived_at": TIMES,
        "collected_at": TIMES,
    },
    "customers": {
        "receiver_phone": PHONES,
        "receiver_name": _maybe("李四", ""),
        "updated_at": TIMES,
    },
    "preferences": {
        "receiver_phone": PHONES,
        "notify_channel": _maybe(0, 1, 5, 77),
        "delivery_choice": _maybe(0, 1, 3, 77),
        "time_window": _maybe(0, 1, 4, 77),
        "marketing": _maybe(0, 1),
        "updated_at": TIMES,
    },
}


def dirty(dataset: str, files: int = 3) -> st.SearchStrategy[pa.Table]:
    """Tables of up to 25 rows whose cells are often wrong, in one or two chunks."""
    of_file = st.integers(0, files - 1)
    row = st.fixed_dictionaries({"_file": of_file}, optional=DIRTY[dataset])
    whole = st.lists(row, max_size=25).map(lambda rows: table(dataset, rows))
    return st.tuples(whole, st.integers(0, 25)).map(lambda pair: rechunked(*pair))
