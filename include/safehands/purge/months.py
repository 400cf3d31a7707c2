"""Months of parcels: dropped when nobody's row is left, or when they are past their time."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import text

from safehands import journal
from safehands.night import Night
from safehands.store import Store

__all__ = ["drop_months", "settle_load"]


def settle_load(store: Store) -> None:
    """Build the person index of months that are new, and statistics of tables that have none."""
    with store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))


def drop_months(store: Store, night: Night, before: datetime, now: datetime) -> dict[str, int]:
    """Drop empty months and those wholly before ``before``, with one ledger entry for all.

    Return ``months_dropped``, and ``parcel_month`` if rows went with a month. Rows under a hold
    have been moved before; the database refuses to drop a month that still holds one.
    """
    with store.begin("safehands_backup") as reader:
        months = [str(row[0]) for row in reader.execute(text(_MONTHS))]
        old = [m for m in months if _end(m) <= before.date()]
        empty = [
            m
            for m in months
            if m not in old
            and reader.execute(text(_ANY_ROW), {"first": _first(m)}).scalar() is False
        ]
    if not old and not empty:
        return {"months_dropped": 0}
    with store.begin() as connection:
        for month in empty:
            connection.execute(text("SELECT drop_month(:month)"), {"month": _first(month)})
        rows = sum(
            int(
                connection.execute(
                    text(_DROP_OLD), {"month": _first(m), "before": before}
                ).scalar_one()
            )
            for m in old
        )
        gone = sorted([*old, *empty])
        facts = {"months": gone, "rows": rows, "policy": night.policy.digest}
        journal.append(connection, "purge", night.run, now, facts)
    return {"months_dropped": len(gone), **({"parcel_month": rows} if rows else {})}


def _first(month: str) -> date:
    return date(int(month[:4]), int(month[4:]), 1)


def _end(month: str) -> date:
    """Return the first day after the month."""
    first = _first(month)
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


_MONTHS = (
    "SELECT right(c.relname, 6) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'parcel'::regclass ORDER BY 1"
)
_ANY_ROW = (
    "SELECT EXISTS (SELECT FROM parcel WHERE arrived_at >="
    " CAST(:first AS timestamp) AT TIME ZONE 'Asia/Shanghai' AND arrived_at <"
    " (CAST(:first AS timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai')"
)
_DROP_OLD = "SELECT drop_old_month(:month, CAST(:before AS timestamptz))"
