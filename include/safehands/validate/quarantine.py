"""The rows that break a rule, as quarantine keeps them: where they stand, why, and what they say.

The payload is the only place behind ingest where cells are written down as text. It lives in the
encrypted quarantine artifact, later in the encrypted quarantine table, and dies with its day key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from safehands.datasets import REFERENCE
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.validate.masks import Ints
from safehands.validate.suites import Suite

__all__ = ["QUARANTINE", "quarantined"]

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
    writers = {name: _writer(policy, fields[name].codes) for name in names}
    lines = [
        json.dumps({k: writers[k](v) for k, v in row.items() if v is not None}, ensure_ascii=False)
        for row in table.select(names).to_pylist()
    ]
    return pa.array(lines, pa.string())


def _writer(policy: Policy, codes: str | None) -> Callable[[Any], str]:
    if codes is not None:
        return lambda number: policy.codes[codes].label(number, "zh")
    return _text


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)
