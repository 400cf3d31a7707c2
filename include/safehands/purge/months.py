"""Months of parcels: dropped when nobody's row is left, or when they are past their time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from safehands import journal
from safehands.night import Night
from safehands.store import Store
from safehands.store.months import end_of, first_of, parcel_months

__all__ = ["drop_months", "months", "settle_load"]


def settle_load(store: Store) -> None:
    """Build the person index of months that are new, and statistics of tables that have none."""
    with store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))


def months(store: Store) -> list[str]:
    """Return the months of parcels that there are, as ``YYYYMM``, earliest first."""
    with store.begin("safehands_backup") as reader:
        return parcel_months(reader)


def drop_months(store: Store, night: Night, before: datetime, now: datetime) -> dict[str, int]:
    """Drop empty months and those wholly before ``before``, with one ledger entry for all.

    Return ``months_dropped``, and ``parcel_month`` if rows went with a month. Rows under a hold
    have been moved before; the database refuses to drop a month that still holds one.
    """
    known = months(store)
    old = [m for m in known if end_of(m) <= before.date()]
    with store.begin("safehands_backup") as reader:
        empty = [
            m
            for m in known
            if m not in old
            and reader.execute(text(_ANY_ROW), {"first": first_of(m)}).scalar() is False
        ]
    if not old and not empty:
        return {"months_dropped": 0}
    with store.begin() as connection:
        for month in empty:
            connection.execute(text("SELECT drop_month(:month)"), {"month": first_of(month)})
        rows = sum(
            int(
                connection.execute(
                    text(_DROP_OLD), {"month": first_of(m), "before": before}
                ).scalar_one()
            )
            for m in old
        )
        gone = sorted([*old, *empty])
        facts = {"months": gone, "rows": rows, "policy": night.policy.digest}
        journal.append(connection, "purge", night.run, now, facts)
    return {"months_dropped": len(gone), **({"parcel_month": rows} if rows else {})}


_ANY_ROW = (
    "SELECT EXISTS (SELECT FROM parcel WHERE arrived_at >="
    " CAST(:first AS timestamp) AT TIME ZONE 'Asia/Shanghai' AND arrived_at <"
    " (CAST(:first AS timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai')"
)
_DROP_OLD = "SELECT drop_old_month(:month, CAST(:before AS timestamptz))"
