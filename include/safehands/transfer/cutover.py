"""Cut-over: what the seller held of the stations goes, in one transaction; nothing comes back.

Who is erased: everybody of the listing but those whom law keeps, who are restricted, under a hold,
or served at another station of the seller's. Those stay people of the seller; their rows at these
stations go too. What law keeps is restricted with its end (PIPL 47 ¶2).

The erasure is one request of :mod:`safehands.erasure`: the night after it opens an epoch, backs
up, proves and destroys the old epoch key. With the transaction the hand-over can't be aborted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.erasure import destroy_station_days
from safehands.erasure.tables import check_known
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.handover.approvals import check_standing
from safehands.keys.pairing import end_pairing
from safehands.policy import Policy
from safehands.store import Store, driver, lock
from safehands.store.register import Owner, open_ring
from safehands.transfer.door import would_leave
from safehands.transfer.evidence_bundle import bundle_of
from safehands.transfer.freeze import is_frozen
from safehands.transfer.measured import of_cut
from safehands.transfer.order import check_closing, check_stations
from safehands.transfer.package import prints_name
from safehands.transfer.reconcile import Identity, held_by_class
from safehands.transfer.shards import shards_key
from safehands.transfer.standing import gone, moved, unanswered
from safehands.transfer.stocktake import check_stock
from safehands.transfer.waiting import check_waiting
from safehands.vault.numbers import graves_of

__all__ = ["Cut", "cut_over", "end_keys", "request_of"]

_KEPT = ("kept_by_law", "restricted", "served_elsewhere")


@dataclass(frozen=True)
class Cut:
    """What is cut: hand-over, seller, station codes; until when law keeps what it keeps."""

    handover: UUID
    seller: Owner
    stations: tuple[str, ...]
    kept_until: date
    by: str
    run: str
    day: date


def request_of(handover: UUID) -> str:
    """Return the id of the erasure request of a hand-over."""
    return f"HO-{handover}"


def cut_over(
    store: Store, cut: Cut, policy: Policy, archive: Path, now: datetime
) -> dict[str, Any]:
    """Do it once; return counts: ``erased`` people, rows per table, ``restricted``, ``stay``.

    A second call returns the first one's facts and ends what a kill left: day keys of the
    stations, the keys of the hand-over's names and fingerprints. Raises ``HandoverRefused`` when
    the hand-over is not due for it, before the day of closing, without the evidence bundle, while
    a station is not frozen, a parcel waits that may not move, a delta is due or unanswered, a
    stock-take is missing, or somebody who would be erased waits for an answer to a request: once
    erased, nothing is left to answer with (PIPL 45, 50).
    """
    with store.begin(controller=cut.seller.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{cut.seller.id}")
        facts = _facts_of(connection, cut.handover)
        if facts is None:
            check_known(connection)
            if state.load(connection, cut.handover).state == "approved":
                # Where nothing was packaged, the approval is what the erasure rests on.
                check_standing(connection, cut.handover)
            if bundle_of(connection, cut.handover) is None:
                raise HandoverRefused("transfer.no_bundle")
            facts = _cut(connection, store, cut, policy, now)
            state.advance(connection, cut.handover, "cut_over", facts, now)
    for station in cut.stations:
        destroy_station_days(store, archive, station, cut.run, now)
    end_keys(store, cut.handover)
    return facts


def end_keys(store: Store, handover: UUID) -> None:
    """Destroy the keys of a hand-over's names, fingerprints and shards: at cut-over or abort."""
    end_pairing(store.provider, str(handover))
    store.provider.destroy(shards_key(handover))
    store.provider.destroy(prints_name(handover))


def _facts_of(connection: Connection, handover: UUID) -> dict[str, Any] | None:
    passed = state.events(connection, handover, "state")
    return next((dict(one["facts"]) for one in passed if one["key"] == "cut_over"), None)


def _cut(
    connection: Connection, store: Store, cut: Cut, policy: Policy, now: datetime
) -> dict[str, Any]:
    numbers = [cut.seller.stations[code] for code in cut.stations]
    classes = held_by_class(connection, cut.handover, numbers)
    settled = _check(connection, store, cut, classes)
    claims = cut.day + timedelta(days=policy.retention["exception_record"].then_days or 0)
    values = {"id": cut.handover, "stations": numbers, "kept": list(_KEPT), "day": cut.day}
    who = list(connection.execute(text(_GOES), values).scalars())
    waiting = int(connection.execute(text(_ASKED), {"who": who}).scalar_one())
    if waiting:
        raise HandoverRefused("transfer.requests_open", requests=waiting)
    _bury(connection, store, cut.seller, who, now)
    named = {"who": who, "day": cut.day, "at": now, "claims": claims}
    taken = connection.execute(text(_ERASE), named).scalar_one() if who else {}
    rows = {name: int(count) for name, count in taken.items() if count}
    loose = {
        "custody": connection.execute(text(_LOOSE_SLIPS), values).rowcount,
        "parcel": connection.execute(text(_LOOSE_PARCELS), values).rowcount,
    }
    restricted = _restrict(connection, cut, now)
    residue = of_cut(connection, cut.seller, cut.handover, numbers, now)
    request = request_of(cut.handover)
    asked = {"request": request, "controller": cut.seller.id, "at": now, "counts": json.dumps(rows)}
    connection.execute(text(_REQUEST), asked)
    facts = {
        "request": request,
        "erased": len(who),
        "rows": rows,
        "rows_alone": loose,
        "restricted": restricted,
        "entrusted_left": residue,
        "kept_until": cut.kept_until.isoformat(),
        "settled_parcels": settled,
        "held_before": classes,
        "left": {t: sum(c.values()) for t, c in _left(connection, cut, numbers).items()},
    }
    said = {"controller": cut.seller.code, "request": request, "state": "erased", "counts": rows}
    journal.append(connection, "erasure", cut.run, now, said)
    return facts


def _check(connection: Connection, store: Store, cut: Cut, classes: Identity) -> dict[str, int]:
    """Raise ``HandoverRefused`` while anything is open; return parcels settled by hand."""
    known = state.load(connection, cut.handover)
    check_stations(known, cut.stations)
    check_closing(known, cut.day)
    if not is_frozen(connection, cut.handover):
        raise HandoverRefused("transfer.not_frozen")
    settled = check_waiting(connection, known, classes["custody"])
    sent = moved(connection, cut.handover)
    if sent is None:
        return settled
    waiting = unanswered(connection, cut.handover)
    if waiting:
        raise HandoverRefused("transfer.delta_unanswered", number=waiting[0])
    since = {table: count for table, count in gone(sent, classes).items() if count}
    ring = open_ring(connection, store.provider, cut.seller)
    if since or would_leave(connection, known, ring, cut.day):
        rows = ", ".join(f"{table} {count}" for table, count in since.items()) or "-"
        raise HandoverRefused("transfer.delta_due", rows=rows)
    check_stock(connection, cut.handover)
    return settled


def _left(connection: Connection, cut: Cut, numbers: list[int]) -> dict[str, dict[str, int]]:
    return held_by_class(connection, cut.handover, numbers)


def _bury(
    connection: Connection, store: Store, seller: Owner, who: list[UUID], now: datetime
) -> None:
    """Write the tombstones, so that the station's old exports bring nobody back."""
    ring = open_ring(connection, store.provider, seller)
    rows = connection.execute(text(_SECRETS), {"who": who}).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    tokens = {secret[16:] for secret in secrets} | set(graves_of(connection, ring, who))
    # Who stays under the same number (another holder, a hold) must not be kept out.
    stay = connection.execute(text(_STAY), {"who": who}).all()
    kept = ring.unwrap_salts([row[0].bytes for row in stay], [row[1] for row in stay])
    _tombstones(connection, seller, sorted(tokens - {s[16:] for s in kept}), now)


def _tombstones(
    connection: Connection, seller: Owner, tokens: Iterable[bytes], now: datetime
) -> None:
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE graves (token uuid) ON COMMIT DROP")
    with raw.cursor().copy("COPY graves FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid"])
        for token in tokens:
            copy.write_row((UUID(bytes=token),))
    connection.execute(text(_TOMBSTONES), {"controller": seller.id, "at": now})


def _restrict(connection: Connection, cut: Cut, now: datetime) -> int:
    values = {
        "id": cut.handover,
        "at": now,
        "until": cut.kept_until,
        "by": cut.by,
    }
    return int(connection.execute(text(_RESTRICT), values).scalar_one())


_GOES = (
    "SELECT h.subject_id FROM handover_subject h JOIN subject s USING (controller_id, subject_id)"
    " WHERE h.handover_id = :id AND h.class <> ALL(:kept) AND NOT s.restricted"
    " AND h.subject_id NOT IN (SELECT held_subjects(:day) UNION ALL SELECT limited_subjects(:day))"
    " AND NOT EXISTS (SELECT FROM legal_hold l WHERE l.controller_id = h.controller_id"
    " AND l.scope = 'controller' AND l.ended_at IS NULL)"
    " AND NOT EXISTS (SELECT FROM parcel p WHERE p.controller_id = h.controller_id"
    " AND p.subject_id = h.subject_id AND p.station_id <> ALL(:stations))"
    " ORDER BY h.subject_id"
)
# The erasure itself is what a request for deletion asks for.
_ASKED = (
    "SELECT count(*) FROM subject_request WHERE subject_id = ANY(:who) AND kind <> 'delete'"
    " AND state IN ('registered', 'identified', 'granted')"
)
_SECRETS = "SELECT subject_id, wrapped_salt FROM subject WHERE subject_id = ANY(:who)"
_STAY = (
    "SELECT o.subject_id, o.wrapped_salt FROM subject o JOIN subject s USING (lookup)"
    " WHERE s.subject_id = ANY(:who) AND o.subject_id <> ALL(:who)"
)
_TOMBSTONES = (
    "INSERT INTO tombstone AS t (controller_id, token, erased_at, reason)"
    " SELECT :controller, token, :at, 'request' FROM graves ORDER BY token"
    " ON CONFLICT (controller_id, token) DO UPDATE"
    " SET erased_at = greatest(t.erased_at, excluded.erased_at), reason = excluded.reason"
)
_ERASE = "SELECT erase_subjects(:who, :day, :at, :claims)"
# Of those who stay (served elsewhere) and of nobody known; not what a hold or a claim keeps.
_ALONE = (
    " p.station_id = ANY(:stations) AND (p.subject_id IS NULL OR EXISTS (SELECT FROM"
    " handover_subject h WHERE h.handover_id = :id AND h.subject_id = p.subject_id"
    " AND h.class <> 'kept_by_law')) AND p.status <> 4"
    " AND (p.subject_id IS NULL OR p.subject_id NOT IN (SELECT held_subjects(:day)))"
    " AND NOT EXISTS (SELECT FROM legal_hold l WHERE l.controller_id = p.controller_id"
    " AND l.ended_at IS NULL AND (l.scope = 'controller' OR l.waybill = p.waybill))"
)
_LOOSE_SLIPS = (
    "DELETE FROM custody c USING parcel p WHERE p.controller_id = c.controller_id"
    f" AND p.waybill = c.waybill AND p.arrived_at = c.arrived_at AND{_ALONE}"
)
_LOOSE_PARCELS = f"DELETE FROM parcel p WHERE{_ALONE}"
_RESTRICT = (
    "SELECT restrict_subjects((SELECT coalesce(array_agg(h.subject_id), '{}')"
    " FROM handover_subject h WHERE h.handover_id = :id AND h.class = 'kept_by_law'),"
    " 'legal_period', :at, :until, :by)"
)
_REQUEST = (
    "INSERT INTO erasure (request, controller_id, state, reason, requested_at, erased_at, counts)"
    " VALUES (:request, :controller, 'erased', 'ended', :at, :at, CAST(:counts AS jsonb))"
)
