"""Months of which every row is due: what must be kept is moved, and the partition is dropped.

Row by row, a million parcels take seconds to delete. Of a month that is past its time as a whole,
the rows are counted by one query and go with their partition. It comes to the same: the same
counts, the same rows kept for a hold or a limitation period, the same figures of nobody.

A month belongs to all owners, so it goes before each owner's own purge, in one transaction with
the counts of each. The owner's purge takes these counts over as its own (``taken``), whenever it
happens: a night that is killed in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.night import Night
from safehands.purge import held, selections
from safehands.purge.actions import Work, set_aside
from safehands.purge.months import months
from safehands.purge.plan import Due
from safehands.store import Store, bind, lock
from safehands.store.effects import Claim, input_digest, make
from safehands.store.months import end_of, first_of
from safehands.store.register import Owner, open_ring, owners

__all__ = ["Taken", "drop_due_months", "taken"]

_STEP = "purge_month"
"""The step under which a month's counts wait for the purges of its owners."""


@dataclass(frozen=True)
class Taken:
    """What went with whole months of one owner: counts by rule, and which claims hold them."""

    counts: dict[str, int]
    claims: list[str]


class _NotWholeError(Exception):
    """Something of the month has to stay where it is; row by row the purge finds out what."""


def drop_due_months(
    store: Store,
    night: Night,
    due: Sequence[Due],
    now: datetime,
    settled: Callable[[Connection, Owner], bool],
) -> int:
    """Drop every month of parcels in which each row is due; return how many.

    ``settled`` says whether an owner's purge of this night has happened already: their rows wait
    for the next one. A month stays as well, and its rows go one by one, where an owner has a hold
    whose end has come but that is not closed yet, or a hold on a single parcel.
    """
    rules = tuple(item for item in due if item.rule in selections.PARCELS)
    # The month's own rule takes what the others would keep for longer.
    latest = min((item.before for item in rules if item.rule != "parcel_month"), default=None)
    if latest is None:
        return 0
    dropped = 0
    for month in months(store):
        if end_of(month) <= latest.date():
            dropped += _drop(_Month(store, night, rules, now, month, latest), settled)
    return dropped


def taken(connection: Connection, owner: Owner) -> Taken:
    """Return what went with whole months since the owner's purge last took such counts over."""
    rows = connection.execute(text(_TAKEN), {"step": _STEP, "owner": owner.code}).all()
    counts: dict[str, int] = {}
    for _, found in rows:
        _add(counts, found)
    return Taken(counts, [str(row[0]) for row in rows])


@dataclass(frozen=True)
class _Month:
    """One month (``YYYYMM``) that may go; ``before``: all its rows arrived before this."""

    store: Store
    night: Night
    rules: tuple[Due, ...]
    now: datetime
    name: str
    before: datetime

    @property
    def first(self) -> date:
        return first_of(self.name)

    def values(self) -> dict[str, Any]:
        moments = {f"before_{item.rule}": item.before for item in self.rules}
        pickup = moments.get("before_pickup_record", self.before)
        return {**moments, "pickup_record": pickup, "first": self.first}


def _drop(month: _Month, settled: Callable[[Connection, Owner], bool]) -> int:
    try:
        with month.store.begin() as connection:
            parts = {}
            for owner in sorted(owners(month.store).values(), key=lambda one: one.id):
                bind(connection, owner.id)
                if connection.execute(text(_ANY), month.values()).scalar_one():
                    lock(connection, f"safehands.controller.{owner.id}")
                    _check_open(connection, month, owner, settled)
                    parts[owner.code] = _part(connection, month, owner)
            if parts:
                _finish(connection, month, parts)
    except _NotWholeError:
        return 0
    return 1 if parts else 0


def _rule(month: _Month) -> str:
    return selections.rule_of(item.rule for item in month.rules)


def _check_open(
    connection: Connection,
    month: _Month,
    owner: Owner,
    settled: Callable[[Connection, Owner], bool],
) -> None:
    values = {"day": month.night.business_date}
    if settled(connection, owner) or connection.execute(text(_BY_ROWS), values).scalar_one():
        raise _NotWholeError


@dataclass(frozen=True)
class _Part:
    """What one owner has in a month: counts by rule, and how many rows are left to drop."""

    counts: dict[str, int]
    rows: int


def _part(connection: Connection, month: _Month, owner: Owner) -> _Part:
    """Move what must be kept of the owner's rows, count the others and keep their figures."""
    night, values = month.night, month.values()
    holds = held.open_holds(connection, night.business_date)
    shared = {**values, "everything": holds.everything, "any_hold": holds.any}
    ring = open_ring(connection, month.store.provider, owner)
    work = Work(connection, ring, owner, night.business_date, month.now, shared, _ONLY)
    found = _counted(connection, month)
    # What is stored for a limitation period leaves as a whole; only a hold takes part of a rule's.
    leaving = [
        i for i in month.rules if i.action == "restrict" and any(r == i.rule for r, *_ in found)
    ]
    counts: dict[str, int] = {}
    for item in month.rules if holds.any else leaving:
        _add(counts, set_aside(work, item))
    if holds.any:
        found = _counted(connection, month)
    elif leaving:
        gone = {item.rule for item in leaving}
        found = [row for row in found if row[0] not in gone]
    anonymised = {item.rule for item in month.rules if item.action == "anonymise"}
    for rule, station, rows in found:
        _add(counts, {rule: rows})
        if rule in anonymised:
            figure = {"c": owner.id, "s": station, "month": month.first, "n": rows}
            connection.execute(text(_HISTORY), figure)
    if connection.execute(text("SELECT EXISTS (SELECT FROM listing)")).scalar_one():
        # What a deletion's trigger would do: nobody waits for rows that have gone.
        connection.execute(text(_UNLIST), values)
    return _Part(counts, sum(rows for *_, rows in found))


def _counted(connection: Connection, month: _Month) -> list[tuple[str, int, int]]:
    """Return rule, station and rows of one owner's month; refuse where a row is not due."""
    rows = connection.execute(text(_COUNT.format(rule=_rule(month))), month.values()).all()
    if any(rule is None for rule, *_ in rows):
        raise _NotWholeError
    return [(str(rule), int(station), int(number)) for rule, station, number in rows]


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number


def _finish(connection: Connection, month: _Month, parts: dict[str, _Part]) -> None:
    """Drop the partition and write what went with it; refuse where a row was not counted."""
    counted = sum(part.rows for part in parts.values())
    values = {"month": month.first, "before": month.before}
    number = connection.execute(text(_PARTITION), {"name": f"parcel_{month.name}"}).scalar()
    if connection.execute(text(_DROP), values).scalar_one() != counted:
        raise _NotWholeError
    facts = {"months": [month.name], "rows": counted, "policy": month.night.policy.digest}
    # A month can come back in a late shard of the same night; it is another partition then.
    digest = input_digest(month.night.business_date, number, month.now.isoformat())
    claim = Claim(_STEP, month.name, digest, month.night.policy.digest)
    counts = {code: part.counts for code, part in parts.items()}
    make(connection, claim, {**facts, "owners": counts})
    journal.append(connection, "purge", month.night.run, month.now, facts)


_ONLY = (
    " AND p.arrived_at >= CAST(:first AS timestamp) AT TIME ZONE 'Asia/Shanghai' AND p.arrived_at <"
    " (CAST(:first AS timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai'"
)
_ANY = f"SELECT EXISTS (SELECT FROM parcel p WHERE true{_ONLY})"
_COUNT = f"SELECT {{rule}}, p.station_id, count(*) FROM parcel p WHERE true{_ONLY} GROUP BY 1, 2"
# Holds on single parcels: caution (decision 0013).
_BY_ROWS = (
    "SELECT EXISTS (SELECT FROM legal_hold WHERE ended_at IS NULL"
    " AND (until < :day OR scope = 'parcel'))"
)
_HISTORY = (
    "INSERT INTO parcel_history AS h (controller_id, station_id, month, parcels)"
    " VALUES (:c, :s, :month, :n) ON CONFLICT (controller_id, station_id, month)"
    " DO UPDATE SET parcels = h.parcels + excluded.parcels"
)
_UNLIST = (
    "DELETE FROM listing l USING parcel p"
    f" WHERE l.controller_id = p.controller_id AND l.token = p.waybill{_ONLY}"
)
_PARTITION = "SELECT CAST(to_regclass(:name) AS oid)::bigint"
_DROP = "SELECT drop_old_month(:month, CAST(:before AS timestamptz))"
_TAKEN = (
    "SELECT m.input_digest, m.result->'owners'->:owner FROM effect m WHERE m.step = :step"
    " AND jsonb_exists(m.result->'owners', :owner) AND NOT EXISTS (SELECT FROM effect e"
    " WHERE e.step = 'purge' AND e.scope = :owner"
    " AND jsonb_exists(e.result->'months', m.input_digest)) ORDER BY m.scope, 1"
)
