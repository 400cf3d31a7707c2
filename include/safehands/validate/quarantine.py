"""The rows that break a rule, as quarantine keeps them: where they stand, why, and what they say.

The payload is the only place behind ingest where cells are written down as text. It lives in the
encrypted quarantine artifact, later in the encrypted quarantine table, and dies with its day key.
"""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.datasets import REFERENCE
from safehands.policy import Policy
from safehands.validate.masks import Ints
from safehands.validate.suites import Suite

__all__ = ["QUARANTINE", "quarantined"]

# Asia/Shanghai has had no summer time since 1991. Arrow would need the system's zone files.
_SHANGHAI = pa.scalar(timedelta(hours=8), pa.duration("us"))
QUARANTINE = pa.schema(
    [
        ("_file", pa.int32()),
        ("_sheet", pa.string()),
        ("_row", pa.int32()),
        ("dataset", pa.string()),
        ("rule", pa.string()),
        ("column", pa.string()),
        ("payload", pa.string()),
    ]
)


def quarantined(table: pa.Table, reasons: Ints, suite: Suite, policy: Policy) -> pa.Table:
    """Return the rows of ``table`` with a reason as quarantine rows (``QUARANTINE``).

    The payload is a JSON object of field → text: times in Asia/Shanghai wall time, codes by their
    Chinese label, nulls left out. Only these rows are turned into text.
    """
    rows = np.flatnonzero(reasons >= 0)
    bad = table.take(rows)
    rules = [suite.expectations[place].meta for place in reasons[rows]]
    columns = {name: bad[name] for name in REFERENCE}
    columns["dataset"] = pa.array([suite.meta.dataset] * len(rows), pa.string())
    columns["rule"] = pa.array([rule.rule for rule in rules], pa.string())
    columns["column"] = pa.array([rule.column for rule in rules], pa.string())
    columns["payload"] = _payloads(bad, suite.meta.dataset, policy)
    return pa.table(columns).cast(QUARANTINE)


def _payloads(table: pa.Table, dataset: str, policy: Policy) -> pa.Array:
    fields = policy.datasets[dataset].fields
    names = [name for name in table.column_names if name in fields]
    columns = [_texts(table[name], fields[name].codes, policy).to_pylist() for name in names]
    # One encoder for all rows: json.dumps with options would build one a row.
    encode = json.JSONEncoder(ensure_ascii=False).encode
    lines = [
        encode({k: v for k, v in zip(names, cells, strict=True) if v is not None})
        for cells in zip(*columns, strict=True)
    ]
    return pa.array(lines, pa.string())


def _texts(column: pa.ChunkedArray, codes: str | None, policy: Policy) -> pa.ChunkedArray:
    if codes is not None:
        numbers = sorted(policy.codes[codes].entries)
        labels = pa.array([policy.codes[codes].label(number, "zh") for number in numbers])
        found = labels.take(pc.index_in(column, value_set=pa.array(numbers, column.type)))
        return pc.coalesce(found, column.cast(pa.string()))
    if pa.types.is_timestamp(column.type):
        moved = pc.add(column.cast(pa.timestamp("us")), _SHANGHAI)
        return moved.cast(pa.timestamp("s"), safe=False).cast(pa.string())
    return column.cast(pa.string())
