"""How old the oldest kept row is under each retention rule, and whether anything is overdue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, text

from safehands.datasets import MINOR
from safehands.keys import KeyProvider
from safehands.night import Night
from safehands.report.kept import (
    EDITION,
    PARCEL_RULES,
    Month,
    Standing,
    Unread,
    list_unread,
    months_of,
    spans,
    standing,
)
from safehands.store import Store
from safehands.store.register import Owner, owners

__all__ = ["overdue", "retained"]


def retained(
    night: Night, store: Store, now: Standing | None = None
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Return per rule of policy: ``rule``, ``held`` rows, ``oldest`` in days (``None`` if none or
    not counted), ``overdue`` rows; and the same per owner's code.

    Days are Asia/Shanghai calendar days up to the business date. Overdue means: past the time that
    policy sets, and still there after tonight's purge. The landing archive's day keys belong to no
    owner and stand in the whole alone.
    """
    whole = {name: _Held() for name in night.policy.retention}
    mine: dict[str, list[dict[str, Any]]] = {}
    for owner in owners(store).values():
        counted = {*PARCEL_RULES, *_QUERIES}
        found = {name: _Held() for name in night.policy.retention if name in counted}
        with store.begin(controller=owner.id) as connection:
            look = _Look.of(connection, night, owner, now or standing(connection))
            for rule, held in found.items():
                part = look.held(rule)
                held.add(part)
                whole[rule].add(part)
        mine[owner.code] = _records(found, night)
    for rule, kind in _DAY_KEYS.items():
        if rule in whole:
            whole[rule].add(_keys(store.provider, night, kind, rule))
    return _records(whole, night), mine


def overdue(night: Night, store: Store, owner: Owner) -> int:
    """Return how many rows of ``owner`` are past their time, all rules of ``retained`` together.

    Only months that hold such rows are read. Day keys of the landing archive belong to no owner and
    are counted for each.
    """
    late = 0
    with store.begin(controller=owner.id) as connection:
        look = _Look.of(connection, night, owner, standing(connection))
        for rule in night.policy.retention:
            before = night.horizon(night.policy.keep_days(rule))
            if rule == "contact_detail":
                late += int(connection.execute(text(_IN_FULL), {"before": before}).scalar_one())
            elif rule in PARCEL_RULES or rule in _QUERIES:
                late += look.held(rule)[2]
            elif rule in _DAY_KEYS:
                late += _keys(store.provider, night, _DAY_KEYS[rule], rule)[2]
    return late


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


@dataclass(frozen=True)
class _Look:
    """One owner's rows as a transaction sees them: ``months`` of parcels, ``unread`` people."""

    connection: Connection
    night: Night
    months: Mapping[str, Month]
    unread: Unread

    @classmethod
    def of(cls, connection: Connection, night: Night, owner: Owner, now: Standing) -> _Look:
        months = months_of(connection, owner.id, now)[0]
        return cls(connection, night, months, list_unread(connection, now))

    def held(self, rule: str) -> tuple[int, date | None, int]:
        """Return rows, the oldest event's day and what is overdue of one rule."""
        before = self.night.horizon(self.night.policy.keep_days(rule))
        if rule in PARCEL_RULES:
            return self._parcels(rule, before)
        # Somebody's newest collection counts only if it is recent: other months are not read.
        months = self.months.items()
        recent = [m for m, one in months if one.waiting or _at(one.newest) >= before]
        parts = {"recent": spans(recent, "p.arrived_at"), "without": _without(self.unread)}
        query = _QUERIES[rule].format(**parts)
        count, oldest, overdue = self.connection.execute(text(query), {"before": before}).one()
        return count, oldest, overdue

    def _parcels(self, rule: str, before: datetime) -> tuple[int, date | None, int]:
        """Only months with something overdue are read."""
        event, rows = PARCEL_RULES[rule]
        all_ = self.months.values()
        oldest = [moment for one in all_ if (moment := one.oldest[rule]) is not None]
        late = [m for m, one in self.months.items() if _at(one.oldest[rule], late=True) < before]
        overdue = 0
        if late:
            source = f"parcel WHERE {rows} AND {event} < :before AND {spans(late)}"
            query = text(f"SELECT count(*) FROM {source}")
            overdue = int(self.connection.execute(query, {"before": before}).scalar_one())
        day = min(oldest).astimezone(_SHANGHAI).date() if oldest else None
        return sum(one.held[rule] for one in all_), day, overdue


def _without(unread: Unread) -> str:
    """Return the people without a parcel, for SQL: kept as such, or unread and so looked up."""
    parts = []
    if unread.trusted:
        parts.append(_KEPT_WITHOUT)
    if unread.people:
        parts.append(_UNREAD_WITHOUT)
    return " UNION ALL ".join(parts) or "SELECT * FROM subject WHERE false"


def _at(moment: datetime | None, *, late: bool = False) -> datetime:
    """Return the moment; for none one that lies before (``late``: after) all others."""
    return moment or (_LAST if late else _FIRST)


def _keys(
    provider: KeyProvider, night: Night, kind: str, rule: str
) -> tuple[int, date | None, int]:
    before = night.horizon(night.policy.keep_days(rule)).date()
    names = provider.names(f"day/{kind}")
    days = [date.fromisoformat(name.rsplit("/", 1)[1]) for name in names]
    return len(days), min(days, default=None), sum(day < before for day in days)


_SHANGHAI = timezone(timedelta(hours=8))
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_DAY_KEYS = {"landing_archive": "archive"}
_LOCAL = "(min({0}) AT TIME ZONE 'Asia/Shanghai')::date"
_WAITS = "p.collected_at IS NULL AND p.status <= 1"
_KEPT_WITHOUT = (
    "SELECT s.* FROM subject s JOIN person_figure k USING (controller_id, subject_id)"
    f" WHERE k.edition = {EDITION} AND k.monthly < 0"
)
_UNREAD_WITHOUT = (
    "SELECT s.* FROM subject s JOIN unread_person u USING (controller_id, subject_id)"
    " WHERE NOT EXISTS (SELECT FROM parcel p WHERE p.controller_id = u.controller_id"
    " AND p.subject_id = u.subject_id OFFSET 0)"
)


def _aged(event: str, source: str) -> str:
    oldest = _LOCAL.format(event)
    return f"SELECT count(*), {oldest}, count(*) FILTER (WHERE {event} < :before) FROM {source}"


_IN_FULL = (
    "SELECT count(*) FROM subject s WHERE s.detail = 0 AND NOT s.restricted"
    " AND s.last_seen < :before AND NOT EXISTS (SELECT FROM parcel p"
    f" WHERE p.subject_id = s.subject_id AND (p.collected_at >= :before OR ({_WAITS})))"
)
# The conditions are those of the step purge, so that nothing it has to keep is called overdue.
# {recent}: arrived in a month with a recent collection or somebody who waits; {without}: who has no
# parcel.
_QUERIES = {
    "access_record": _aged("at", "access_log"),
    "contact_detail": _aged(
        "event",
        "(SELECT CASE WHEN a.waits THEN NULL ELSE greatest(s.last_seen, a.newest) END AS event"
        " FROM subject s LEFT JOIN (SELECT p.subject_id, bool_or(p.collected_at IS NULL) AS waits,"
        " max(p.collected_at) AS newest FROM parcel p"
        f" WHERE {{recent}} AND (p.collected_at >= :before OR ({_WAITS}))"
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
        "kept.last_seen",
        "({without}) kept WHERE NOT kept.restricted"
        " AND NOT EXISTS (SELECT FROM preference f WHERE f.subject_id = kept.subject_id)",
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
