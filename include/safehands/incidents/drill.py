"""A drill: an incident on synthetic people in a throw-away database, timed from trigger to drafts.

Nothing of a real person is touched; the database is dropped afterwards. What is kept is how long
each part took, in the ledger and as evidence of the kind ``drill`` in the register (BRE-05).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import Scope, open_case
from safehands.incidents.contain import contain, propose
from safehands.incidents.drafts import assess, draft
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.organisation import Row, owner_of, record
from safehands.restore.scratch import scratch
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store import Store, prepare_store
from safehands.store.register import Owner, open_ring, owners, register
from safehands.vault.access import OFFICER
from safehands.vault.record import KIND, as_bytes

__all__ = ["Drilled", "drill"]

_OWNER = "DRILL"


@dataclass(frozen=True)
class Drilled:
    """What a drill measured: synthetic people affected, seconds to the count and to the drafts."""

    people: int
    seconds_to_count: float
    seconds_to_drafts: float
    passed: bool


def drill(
    inst: Installation,
    book: IncidentBook,
    owner: str,
    by: str,
    ticks: Callable[[], float],
    count: int = 500,
    within: float = 120.0,
) -> Drilled:
    """Drill the plan for ``owner``; ``ticks`` is a clock in seconds, ``within`` the limit (policy).

    Records the result whatever it is; evidence counts only when it passed.
    """
    known, now = owner_of(inst, owner), inst.clock()
    with scratch(inst.store, "incident") as beside:
        prepare_store(beside)
        home = inst.settings.home / "work" / "incident-drill"
        room = replace(inst, store=beside, settings=replace(inst.settings, home=home))
        made = _people(beside, now, count)
        try:
            begun = ticks()
            number = _open(room, book, made, by, now)
            people = assess(room, book, made, number, by).people
            counted = ticks() - begun
            propose(room, book, made, number, by)
            contain(room, book, made, number, "stop_disclosures", by, "drill.approver")
            draft(room, book, made, number, by)
            drafted = ticks() - begun
        finally:
            _forget(inst, home)
    done = Drilled(people, counted, drafted, people == count and drafted <= within)
    _keep(inst, known, done, by, now)
    return done


def _open(room: Installation, book: IncidentBook, owner: Owner, by: str, now: datetime) -> int:
    times = (now, now - timedelta(days=2), now)
    scope = Scope(parcels=True, systems=("drill",))
    with room.store.begin(OFFICER, owner.id) as connection:
        return open_case(connection, book, owner, "leak", times, by, scope, by, now, drill=True)


def _people(store: Store, now: datetime, count: int) -> Owner:
    """Make synthetic people with a parcel each: numbers of a range nobody has (1990000…)."""
    station = Station(code="DRILL-1", name="drill", folder="DRILL-1")
    sets = {"parcels": RecordSet(role="handler")}
    made = Controller(code=_OWNER, name="演练 / drill", record_sets=sets, stations=(station,))
    register(store, Register(controllers=(made,)), now.astimezone(SHANGHAI).date())
    owner = owners(store)[_OWNER]
    with store.begin(controller=owner.id) as connection:
        _fill(connection, store, owner, now, count)
    return owner


def _fill(connection: Connection, store: Store, owner: Owner, now: datetime, count: int) -> None:
    ring = open_ring(connection, store.provider, owner)
    phones = [f"1990000{number:04d}" for number in range(count)]
    ids = [hashlib.sha256(phone.encode()).digest()[:16] for phone in phones]
    salts = [hashlib.sha256(one).digest()[:16] for one in ids]
    graves = ring.tombstones("mobile", phones).tolist()
    secrets = [salt + grave for salt, grave in zip(salts, graves, strict=True)]
    plain = [as_bytes({"address": "", "name": "演练", "phone": phone}) for phone in phones]
    sealed = ring.seal(KIND, ids, salts, plain)
    wrapped = ring.wrap_salts(ids, secrets)
    lookups = ring.lookups("mobile", phones).tolist()
    connection.execute(
        text("SELECT add_month(CAST(:day AS date))"), {"day": now - timedelta(days=1)}
    )
    people = [
        {
            "owner": owner.id,
            "who": UUID(bytes=ids[i]),
            "lookup": UUID(bytes=bytes(lookups[i])),
            "epoch": ring.epoch,
            "wrapped": wrapped[i],
            "version": ring.version,
            "sealed": sealed[i],
            "at": now - timedelta(days=1),
            "station": owner.stations["DRILL-1"],
            "waybill": UUID(bytes=salts[i]),
        }
        for i in range(count)
    ]
    connection.execute(text(_SUBJECT), people)
    connection.execute(text(_PARCEL), people)


def _keep(inst: Installation, owner: Owner, done: Drilled, by: str, now: datetime) -> None:
    facts = {
        "controller": owner.code,
        "people": done.people,
        "milliseconds_to_count": round(done.seconds_to_count * 1000),
        "milliseconds_to_drafts": round(done.seconds_to_drafts * 1000),
        "passed": done.passed,
        "by": by,
    }
    with inst.store.begin(OFFICER, owner.id) as connection:
        journal.append(connection, "incident_drill", f"drill-{owner.code}", now, facts)
    if done.passed:
        day = now.astimezone(SHANGHAI).date()
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        until = day + timedelta(days=365)
        row = Row(owner.code, "evidence", "drill", day, until, 0, "security", by, digest)
        record(inst, [row], day)


def _forget(inst: Installation, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    for name in inst.provider.names(f"epoch/{_OWNER}"):
        inst.provider.destroy(name)


_SUBJECT = (
    "INSERT INTO subject (controller_id, subject_id, lookup, epoch, wrapped_salt, key_version,"
    " sealed, detail, first_seen, last_seen) VALUES (:owner, :who, :lookup, :epoch, :wrapped,"
    " :version, :sealed, 0, :at, :at)"
)
_PARCEL = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, district,"
    " batch_id, carrier, status, weight_band, tags) VALUES (:owner, :station, :waybill, :who, :at,"
    " 440305, 0, 1, 2, 1, 0)"
)
