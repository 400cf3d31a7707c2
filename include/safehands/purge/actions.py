"""What a purge does to rows that are due: delete, anonymise, restrict, mask, forget.

Each function works in the owner's transaction, takes the values of its selection and returns how
many rows it treated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.purge import held, selections
from safehands.purge.plan import Due
from safehands.store.people import reseal
from safehands.store.register import Owner
from safehands.vault.record import KIND, MASKED, as_bytes, masked, opened

__all__ = ["Work", "carry_out", "set_aside"]


@dataclass(frozen=True)
class Work:
    """One owner's purge on ``day``. ``values`` are the parameters that selections share.

    ``only`` narrows the selections of parcels: `` AND`` and a condition on ``p``.
    """

    connection: Connection
    ring: KeyRing
    owner: Owner
    day: date
    now: datetime
    values: dict[str, Any]
    only: str = ""


def carry_out(work: Work, due: Due) -> dict[str, int]:
    """Do what the rule asks for; return its count, and under ``kept_by_hold`` what had to stay."""
    if selections.due(due.rule) is None:
        return {}
    values = {**work.values, "before": due.before, "now": work.now}
    kept = _keep(work, due, values)
    treated = _TREAT.get(due.action, _delete)(work, due, values)
    return {due.rule: treated, **({"kept_by_hold": kept} if kept else {})}


def set_aside(work: Work, due: Due) -> dict[str, int]:
    """Move the parcels that outlive their time: under a hold, or stored for a limitation period.

    Return the counts of ``carry_out``, of what has been moved alone.
    """
    values = {**work.values, "before": due.before, "now": work.now}
    kept = _keep(work, due, values)
    moved = _restrict(work, due, values) if due.action == "restrict" else 0
    return {due.rule: moved, **({"kept_by_hold": kept} if kept else {})}


def _keep(work: Work, due: Due, values: dict[str, Any]) -> int:
    """Store what is due and held, so that nothing but storage happens to it (PIPL 47 ¶2)."""
    if not work.values["any_hold"]:
        return 0
    selection = selections.held(due.rule)
    if due.action == "restrict":
        # Storage is what the rule itself asks for.
        return 0
    if due.rule in selections.PARCELS:
        return held.keep_parcels(work.connection, selection + work.only, values, "hold", None)
    if due.table == "subject":
        return held.keep_people(work.connection, selection, values, work.now)
    if due.table == "custody":
        return held.keep_custody(work.connection, selection, values)
    if due.table == "preference":
        return held.keep_preferences(work.connection, selection, values)
    return 0


def _delete(work: Work, due: Due, values: dict[str, Any]) -> int:
    if due.rule == "person_without_parcels":
        return _forget(work, values)
    statement = f"DELETE FROM {selections.free(due.rule)}"
    return work.connection.execute(text(statement), values).rowcount


def _anonymise(work: Work, due: Due, values: dict[str, Any]) -> int:
    """Delete the rows and keep how many a station had in a month: nobody's data any more."""
    statement = _COUNT_AND_DELETE.format(selection=selections.free(due.rule))
    facts = {**values, "controller": work.owner.id}
    return int(work.connection.execute(text(statement), facts).scalar_one())


def _restrict(work: Work, due: Due, values: dict[str, Any]) -> int:
    until = work.day + timedelta(days=due.then_days)
    selection = (selections.due(due.rule) or "") + work.only
    moved = held.keep_parcels(work.connection, selection, values, "limitation", until)
    if moved:
        # Rules that follow tonight must know whom these parcels keep.
        held.keep_limited(work.connection, work.day)
        work.values["any_hold"] = True
    return moved


def _mask(work: Work, due: Due, values: dict[str, Any]) -> int:
    query = (
        "SELECT s.subject_id, s.wrapped_salt, s.sealed,"
        f" (extract(epoch FROM s.last_seen) * 1000000)::int8 FROM {selections.free(due.rule)}"
    )
    rows = work.connection.execute(text(query), values).all()
    subjects = [row[0].bytes for row in rows]
    salts = [s[:16] for s in work.ring.unwrap_salts(subjects, [row[1] for row in rows])]
    plain = work.ring.unseal(KIND, subjects, salts, [row[2] for row in rows])
    hidden = [as_bytes(masked(opened(record))) for record in plain]
    sealed = work.ring.seal(KIND, subjects, salts, hidden)
    moments = [row[3] for row in rows]
    fresh = zip(subjects, sealed, [MASKED] * len(rows), moments, moments, strict=True)
    reseal(work.connection, fresh)
    return len(rows)


def _forget(work: Work, values: dict[str, Any]) -> int:
    """Delete people and leave tombstones, so that an old export does not bring them back."""
    selection = selections.free("person_without_parcels")
    query = f"SELECT s.subject_id, s.wrapped_salt FROM {selection}"
    rows = work.connection.execute(text(query), values).all()
    held.bury(work.connection, work.owner, work.ring, rows, work.now)
    if rows:
        # One statement: what hangs on a person is looked up once for all of them.
        people = {"ids": [row[0] for row in rows]}
        work.connection.execute(text("DELETE FROM subject WHERE subject_id = ANY (:ids)"), people)
    return len(rows)


_TREAT: dict[str, Callable[[Work, Due, dict[str, Any]], int]] = {
    "anonymise": _anonymise,
    "restrict": _restrict,
    "mask": _mask,
    # The month goes as a whole afterwards; what is counted here is what only this rule takes.
    "drop_partition": _delete,
}
_COUNT_AND_DELETE = (
    "WITH gone AS (DELETE FROM {selection} RETURNING p.station_id, p.arrived_at),"
    " counted AS (INSERT INTO parcel_history AS h (controller_id, station_id, month, parcels)"
    " SELECT :controller, station_id,"
    " date_trunc('month', arrived_at AT TIME ZONE 'Asia/Shanghai')::date, count(*)"
    " FROM gone GROUP BY 2, 3 ON CONFLICT (controller_id, station_id, month)"
    " DO UPDATE SET parcels = h.parcels + excluded.parcels) SELECT count(*) FROM gone"
)
