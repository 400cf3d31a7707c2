"""Where am I? Every place where one person's data is or was, with its clock; no value of it.

Tables are asked by subject id. Backups, archive and landing folder hold people by date, not by
name: what is said of them follows from when the person was first seen and from policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from safehands import journal
from safehands.backuppolicy import load_backup_policy
from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, check_staff

__all__ = ["Place", "locate"]


@dataclass(frozen=True)
class Place:
    """One place. ``certain``: rows were counted; else the person may be in it.

    ``until``: the last day on which policy keeps what is there, None where another event ends it.
    """

    name: str
    rows: int
    first: date | None
    until: date | None
    certain: bool


def locate(inst: Installation, owner: Owner, subject: UUID, by: str, now: datetime) -> list[Place]:
    """Return the places of ``subject``, and write into the ledger that somebody asked.

    Restricted people are located too: what is stored only has to be found. Raises
    ``AccessRefused`` for nobody.
    """
    check_staff(by)
    day = now.astimezone(SHANGHAI).date()
    with inst.store.begin(controller=owner.id, storage=True) as connection:
        seen = connection.execute(text(_SEEN), {"who": subject}).first()
        if seen is None:
            raise AccessRefused("vault.nobody")
        found = [
            Place(name, rows, first, _until(inst, rule, last), certain=True)
            for name, rule, rows, first, last in connection.execute(text(_TABLES), {"who": subject})
            if rows
        ]
        since = seen[0]
        waiting, oldest = connection.execute(text(_QUARANTINE)).one()
        generations = [row[0] for row in connection.execute(text(_BACKUPS), {"since": since})]
        facts = {"controller": owner.code, "action": "locate", "by": by}
        journal.append(connection, "request", f"locate-{owner.code}", now, facts)
    found += [
        one for one in (_held(inst, owner, subject), *_given(inst, owner, subject)) if one.rows
    ]
    policy = inst.policy
    if generations:
        keep = load_backup_policy(inst.settings.policy).keep.at_most_days
        last = max(generations) + timedelta(days=keep)
        found.append(Place("backup", len(generations), min(generations), last, certain=True))
    if waiting:
        last = oldest + timedelta(days=policy.keep_days("quarantine"))
        found.append(Place("quarantine", waiting, oldest, last, certain=False))
    if any(inst.settings.archive.glob("*/*/*.sealed")):
        last = day + timedelta(days=policy.keep_days("landing_archive"))
        found.append(Place("archive", 0, None, last, certain=False))
    found.append(Place("landing", 0, None, None, certain=False))
    return found


def _held(inst: Installation, owner: Owner, subject: UUID) -> Place:
    """Parcels that are stored only: no step reads them, so the backup's role counts them."""
    values = {"who": subject, "c": owner.id}
    with inst.store.begin("safehands_backup") as connection:
        rows, first, until = connection.execute(text(_HELD), values).one()
    return Place("parcel_held", rows, first, until, certain=True)


def _given(inst: Installation, owner: Owner, subject: UUID) -> list[Place]:
    """Files that were given to others, and hand-overs; the register keeps both.

    What a recipient said it destroyed is no place any more. The last day of a disclosure is the
    latest on which its recipient may keep it.
    """
    with inst.store.begin(OFFICER, owner.id) as connection:
        values = {"who": subject}
        rows, first, until = connection.execute(text(_DISCLOSED), values).one()
        moved, opened = connection.execute(text(_MOVED), values).one()
    return [
        Place("disclosure", rows, first, until, certain=True),
        Place("handover", moved, opened, None, certain=True),
    ]


def _until(inst: Installation, rule: str, last: date | None) -> date | None:
    if not rule or last is None:
        return None
    return last + timedelta(days=inst.policy.keep_days(rule))


_SEEN = (
    "SELECT (first_seen AT TIME ZONE 'Asia/Shanghai')::date FROM subject WHERE subject_id = :who"
)
_DAY = (
    "(min({0}) AT TIME ZONE 'Asia/Shanghai')::date, (max({0}) AT TIME ZONE 'Asia/Shanghai')::date"
)
_ASK = (
    ("subject", "person_without_parcels", "last_seen"),
    ("parcel", "pickup_record", "coalesce(collected_at, arrived_at)"),
    ("custody", "", "arrived_at"),
    ("preference", "idle_preference", "updated_at"),
    ("consent_event", "", "at"),
    ("access_log", "access_record", "at"),
    ("restriction", "", "restricted_at"),
    ("legal_hold", "", "placed_at"),
    ("correction", "", "corrected_at"),
    ("subject_request", "", "requested_at"),
)
_TABLES = " UNION ALL ".join(
    f"SELECT '{table}', '{rule}', count(*), {_DAY.format(at)} FROM {table} WHERE subject_id = :who"
    for table, rule, at in _ASK
)
_QUARANTINE = "SELECT count(*), min(day) FROM quarantine"
_BACKUPS = "SELECT business_date FROM backup WHERE business_date >= :since AND prune_id IS NULL"
_HELD = (
    "SELECT count(*), (min(arrived_at) AT TIME ZONE 'Asia/Shanghai')::date, max(until)"
    " FROM parcel_held WHERE controller_id = :c AND subject_id = :who"
)
_DISCLOSED = (
    "SELECT count(*), min(d.business_date), max(CAST(d.facts->>'destroy_by' AS date))"
    " FROM disclosure_subject s JOIN disclosure d ON d.id = s.disclosure_id"
    " WHERE s.subject_id = :who AND s.state <> 'acknowledged'"
)
_MOVED = (
    "SELECT count(*), (min(h.opened_at) AT TIME ZONE 'Asia/Shanghai')::date"
    " FROM handover_subject s JOIN handover h USING (handover_id) WHERE s.subject_id = :who"
)
