"""Legal holds and restrictions in a purge: what they keep, and what follows when they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.store.register import Owner
from safehands.vault.numbers import graves_of
from safehands.vault.suppression import suppress

__all__ = [
    "Holds",
    "bury",
    "close_ended",
    "keep_custody",
    "keep_limited",
    "keep_parcels",
    "keep_people",
    "keep_preferences",
    "open_holds",
    "stations_held",
]

REASON = "hold"
"""Why the purge itself restricts somebody: a hold keeps a record whose time is over."""


@dataclass(frozen=True)
class Holds:
    """``everything``: a hold covers all of the owner's data; ``any``: something is kept at all."""

    everything: bool
    any: bool


def open_holds(connection: Connection, day: date) -> Holds:
    """Put what is held on ``day`` into temporary tables that end with the transaction.

    Of the owner the transaction is bound to; what they held of another owner before is forgotten.
    """
    for statement in _TEMPORARY:
        connection.execute(text(statement), {"day": day})
    everything, something = connection.execute(text(_OPEN), {"day": day}).one()
    return Holds(bool(everything), bool(something))


def keep_limited(connection: Connection, day: date) -> None:
    """Add people whose parcels are stored for a limitation period to what is held."""
    connection.execute(text(_LIMITED), {"day": day})


def close_ended(
    connection: Connection, ring: KeyRing, owner: Owner, day: date, now: datetime
) -> dict[str, int]:
    """Close holds whose end has come and let go of what only they kept; return counts.

    People who were restricted because of a hold are in use again, so that the rules of tonight
    see them. Restrictions with an end of their own that has come delete the person (PIPL 47).
    """
    values = {"day": day, "now": now}
    closed = connection.execute(text(_CLOSE), values).rowcount
    connection.execute(text("SELECT use_again(:day)"), values)
    released = connection.execute(text(_RELEASE), values).scalar_one()
    let_go = connection.execute(text("SELECT end_held_parcels(:day)"), values).scalar_one()
    ended = _end_restrictions(connection, ring, owner, values)
    counts = {
        "holds_ended": closed,
        "restrictions_released": int(released),
        "held_parcels_ended": int(let_go),
        "restrictions_ended": ended,
    }
    return {name: number for name, number in counts.items() if number}


def _end_restrictions(
    connection: Connection, ring: KeyRing, owner: Owner, values: dict[str, Any]
) -> int:
    rows = connection.execute(text("SELECT * FROM ended_restrictions(:day)"), values).all()
    bury(connection, owner, ring, rows, values["now"])
    people = {"who": [row[0] for row in rows]}
    return int(connection.execute(text("SELECT delete_restricted(:who)"), people).scalar_one())


def bury(
    connection: Connection, owner: Owner, ring: KeyRing, rows: Sequence[Any], now: datetime
) -> None:
    """Write tombstones, so that an old export does not bring these people back.

    ``rows``: subject id and wrapped salt of each.
    """
    ids = [row[0] for row in rows]
    secrets = ring.unwrap_salts([one.bytes for one in ids], [row[1] for row in rows])
    own = {one: [secret[16:]] for one, secret in zip(ids, secrets, strict=True)}
    suppress(connection, owner, ring, own)
    tokens = {*(secret[16:] for secret in secrets), *graves_of(connection, ring, ids)}
    graves = [{"controller": owner.id, "token": token.hex(), "at": now} for token in sorted(tokens)]
    if graves:
        connection.execute(text(_TOMBSTONE), graves)


def keep_parcels(
    connection: Connection, selection: str, values: dict[str, Any], why: str, until: date | None
) -> int:
    """Move the parcels of ``selection`` to ``parcel_held``, where no step reads them."""
    statement = _MOVE.format(selection=selection)
    facts = {**values, "why": why, "until": until}
    return int(connection.execute(text(statement), facts).scalar_one())


def keep_people(
    connection: Connection, selection: str, values: dict[str, Any], now: datetime
) -> int:
    """Restrict the people of ``selection``: their time is over and a hold keeps them."""
    query = f"SELECT s.subject_id FROM {selection}"
    rows = connection.execute(text(query), values).all()
    if rows:
        facts = {"who": [row[0] for row in rows], "reason": REASON, "now": now}
        connection.execute(text(_RESTRICT), facts)
    return len(rows)


def keep_custody(connection: Connection, selection: str, values: dict[str, Any]) -> int:
    """Hide the slips of ``selection``: past their time and held."""
    statement = f"SELECT store_only(array_agg(c.waybill), '{{}}'), count(*) FROM {selection}"
    return int(connection.execute(text(statement), values).one()[1])


def keep_preferences(connection: Connection, selection: str, values: dict[str, Any]) -> int:
    """Hide the preferences of ``selection``: past their time and held."""
    statement = f"SELECT store_only('{{}}', array_agg(f.subject_id)), count(*) FROM {selection}"
    return int(connection.execute(text(statement), values).one()[1])


def stations_held(connection: Connection, day: date) -> list[str]:
    """Return the codes of stations whose owner's data is held as a whole."""
    return [str(row[0]) for row in connection.execute(text(_STATIONS), {"day": day})]


_LIMITED = "INSERT INTO held_subject SELECT limited_subjects(CAST(:day AS date)), true"
_TEMPORARY = (
    "CREATE TEMP TABLE IF NOT EXISTS held_subject (subject_id uuid, limited boolean)"
    " ON COMMIT DROP",
    "CREATE TEMP TABLE IF NOT EXISTS held_waybill (waybill uuid) ON COMMIT DROP",
    "TRUNCATE held_subject, held_waybill",
    "INSERT INTO held_subject SELECT held_subjects(CAST(:day AS date)), false",
    _LIMITED,
    "INSERT INTO held_waybill SELECT waybill FROM legal_hold WHERE waybill IS NOT NULL"
    " AND ended_at IS NULL AND until >= CAST(:day AS date)",
)
_OPEN = (
    "SELECT coalesce(bool_or(scope = 'controller'), false),"
    " count(*) > 0 OR EXISTS (SELECT FROM held_subject) FROM legal_hold"
    " WHERE ended_at IS NULL AND until >= :day"
)
_CLOSE = (
    "UPDATE legal_hold SET ended_at = :now, ended_by = 'purge'"
    " WHERE ended_at IS NULL AND until < :day"
)
_RELEASE = (
    "SELECT release_subjects(coalesce(array_agg(r.subject_id), '{}')) FROM restriction r"
    " WHERE r.reason = 'hold'"
    " AND r.subject_id NOT IN (SELECT held_subjects(CAST(:day AS date))"
    " UNION ALL SELECT limited_subjects(CAST(:day AS date)))"
    " AND NOT EXISTS (SELECT FROM legal_hold WHERE scope = 'controller' AND ended_at IS NULL"
    " AND until >= :day)"
)
_TOMBSTONE = (
    "INSERT INTO tombstone AS t (controller_id, token, erased_at, reason)"
    " VALUES (:controller, CAST(:token AS uuid), :at, 'retention')"
    " ON CONFLICT (controller_id, token) DO UPDATE"
    " SET erased_at = greatest(t.erased_at, excluded.erased_at)"
)
_MOVE = (
    "WITH gone AS (DELETE FROM {selection} RETURNING p.*), kept AS ("
    "INSERT INTO parcel_held SELECT gone.*, :why, CAST(:now AS timestamptz), CAST(:until AS date)"
    " FROM gone ON CONFLICT DO NOTHING) SELECT count(*) FROM gone"
)
_RESTRICT = "SELECT restrict_subjects(:who, :reason, CAST(:now AS timestamptz), NULL, 'purge')"
_STATIONS = (
    "SELECT DISTINCT s.code FROM station s JOIN legal_hold h"
    " USING (controller_id) WHERE h.scope = 'controller' AND h.ended_at IS NULL AND h.until >= :day"
)
