"""Months of parcels, as ``YYYYMM``: which have a partition, where they begin and end."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, text

__all__ = ["end_of", "first_of", "parcel_months"]


def parcel_months(connection: Connection) -> list[str]:
    """Return the months of parcels that there are, as ``YYYYMM``, earliest first."""
    return [str(row[0]) for row in connection.execute(text(_MONTHS))]


def first_of(month: str) -> date:
    """Return the first day of the month."""
    return date(int(month[:4]), int(month[4:]), 1)


def end_of(month: str) -> date:
    """Return the first day after the month."""
    first = first_of(month)
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


_MONTHS = (
    "SELECT right(c.relname, 6) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'parcel'::regclass ORDER BY 1"
)
