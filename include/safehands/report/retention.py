"""How old the oldest kept row is under each retention rule, and whether anything is overdue."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.datasets import MINOR
from safehands.keys import KeyProvider
from safehands.night import Night
from safehands.store import Store
from safehands.store.register import owners

__all__ = ["retained", "retention"]


def retention(
    night: Night, store: Store, of: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Return per rule of policy: ``rule``, ``held`` rows, ``oldest`` in days (``None`` if none or
    not counted), ``overdue`` rows.

    Days are Asia/Shanghai calendar days up to the business date. Overdue means: past the time that
    policy sets, and still there after tonight's purge. ``of`` limits the rows to owners by code.
    """
    return retained(night, store, of)[0]


def retained(
    night: Night, store: Store, of: Collection[str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Return what ``retention`` returns, and the same per owner's code.

    The landing archive's day keys belong to no owner and stand in the whole alone.
    """
    whole = {name: _Held() for name in night.policy.retention}
    mine: dict[str, list[dict[str, Any]]] = {}
    for owner in (o for o in owners(store).values() if of is None or o.code in of):
        found = {name: _Held() for name in night.policy.retention if name in _QUERIES}
        with store.begin(controller=owner.id) as connection:
            for rule, held in found.items():
                part = _held(connection, night, rule)
                held.add(part)
                whole[rule].add(part)
        mine[owner.code] = _records(found, night)
    for rule, kind in _DAY_KEYS.items():
        if rule in whole and rule not in _QUERIES:
            whole[rule].add(_keys(store.provider, night, kind, rule))
    return _records(whole, night), mine


def _records(found: dict[str, _Held], night: Night) -> list[dict[str, Any]]:
    return [{"rule": rule, **held.record(night.business_date)} for rule, held in found.items()]


class _Held:
    """Numbers of one rule over all owners."""

    def __init__(self) -> None:
        self.held, self.overdue = 0, 0
        self.oldest: date | None = None

    def add(self, part: tuple[int, date | None, int]) -> None:
        self.held += part[0]
        self.overdue += part[2]
        days = [day for day in (self.oldest, part[1]) if day is not None]
        self.oldest = min(days, default=None)

    def record(self, today: date) -> dict[str, Any]:
        age = None if self.oldest is None else max(0, (today - self.oldest).days)
        return {"held": self.held, "oldest": age, "overdue": self.overdue}


def _held(connection: Connection, night: Night, rule: str) -> tuple[int, date | None, int]:
    before: datetime = night.horizon(night.policy.keep_days(rule))
    count, oldest, overdue = connection.execute(text(_QUERIES[rule]), {"before": before}).one()
    return count, oldest, overdue


def _keys(
    provider: KeyProvider, night: Night, kind: str, rule: str
) -> tuple[int, date | None, int]:
    before = night.horizon(night.policy.keep_days(rule)).date()
    names = provider.names(f"day/{kind}")
    days = [date.fromisoformat(name.rsplit("/", 1)[1]) for name in names]
    return len(days), min(days, default=None), sum(day < before for day in days)


_DAY_KEYS = {"landing_archive": "archive"}
_LOCAL = "(min({0}) AT TIME ZONE 'Asia/Shanghai')::date"
_WAITS = "p.collected_at IS NULL AND p.status <= 1"


def _aged(event: str, source: str) -> str:
    oldest = _LOCAL.format(event)
    return f"SELECT count(*), {oldest}, count(*) FILTER (WHERE {event} < :before) FROM {source}"


# The conditions are those of the step purge, so that nothing it has to keep is called overdue.
_QUERIES = {
    "pickup_record": _aged("collected_at", "parcel WHERE collected_at IS NOT NULL AND status <> 4"),
    "never_collected": _aged("arrived_at", "parcel WHERE collected_at IS NULL AND status <> 4"),
    "exception_record": _aged("arrived_at", "parcel WHERE status = 4"),
    "access_record": _aged("at", "access_log"),
    "contact_detail": _aged(
        "event",
        "(SELECT CASE WHEN a.waits THEN NULL ELSE greatest(s.last_seen, a.newest) END AS event"
        " FROM subject s LEFT JOIN (SELECT p.subject_id, bool_or(p.collected_at IS NULL) AS waits,"
        " max(p.collected_at) AS newest FROM parcel p"
        f" WHERE p.collected_at >= :before OR ({_WAITS})"
        " GROUP BY 1) a USING (subject_id) WHERE s.detail = 0 AND NOT s.restricted) kept",
    ),
    "custody_detail": (
        "SELECT count(*), NULL::date, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM parcel p"
        " WHERE p.waybill = c.waybill AND p.arrived_at = c.arrived_at"
        f" AND {_WAITS}) AND CAST(:before AS timestamptz) IS NOT NULL) FROM custody c"
    ),
    "idle_preference": _aged(
        "event",
        "(SELECT greatest(f.updated_at, s.last_seen) AS event FROM preference f"
        " LEFT JOIN subject s USING (subject_id)) kept",
    ),
    "person_without_parcels": _aged(
        "s.last_seen",
        "subject s WHERE NOT s.restricted"
        " AND NOT EXISTS (SELECT FROM parcel p WHERE p.subject_id = s.subject_id)"
        " AND NOT EXISTS (SELECT FROM preference f WHERE f.subject_id = s.subject_id)",
    ),
    "quarantine": (
        "SELECT count(*), min(day), count(*) FILTER"
        " (WHERE day < (CAST(:before AS timestamptz) AT TIME ZONE 'Asia/Shanghai')::date)"
        " FROM quarantine"
    ),
    "quarantined_minor": (
        "SELECT count(*), min(day), count(*) FILTER"
        " (WHERE day < (CAST(:before AS timestamptz) AT TIME ZONE 'Asia/Shanghai')::date)"
        f" FROM quarantine WHERE rule = '{MINOR}'"
    ),
}
