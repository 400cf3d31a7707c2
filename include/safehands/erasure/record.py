"""What a phase did, for the night's table of steps: in the transaction of the phase itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection, text

__all__ = ["record_step"]


def record_step(
    connection: Connection,
    step: str,
    run: str,
    day: date,
    owner: str,
    counts: Mapping[str, int],
    seconds: float = 0.0,
) -> None:
    """Add one row of ``step_result``; ``owner`` is the controller's code."""
    values = {
        "run": run,
        "day": day,
        "owner": owner,
        "step": step,
        "counts": json.dumps(dict(counts)),
        "seconds": seconds,
    }
    connection.execute(text(_STEP), values)


_STEP = (
    "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
    " VALUES (:run, :day, :owner, :step, CAST(:counts AS jsonb), '{}', :seconds)"
)
