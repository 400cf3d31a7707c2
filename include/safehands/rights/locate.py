"""Where am I? Every place where one person's data is or was, with its clock; no value of it.

Tables are asked by subject id, rows in quarantine are opened and compared by number. Backups,
archive and landing folder hold people by date, not by name: what is said of them follows from when
the person was first seen and from policy. A number that leads to nobody any more still leads to
what an erasure left: its tombstone, a refusal that is kept, rows that wait.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import erasure, journal
from safehands.backuppolicy import load_backup_policy
from safehands.datasets import MINOR
from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.rights.book import load_rights_book
from safehands.rights.waiting import find_waiting
from safehands.store.register import Owner, open_ring
from safehands.vault.access import OFFICER, check_staff, officer_ring
from safehands.vault.numbers import graves_of
from safehands.vault.suppression import suppression_tokens

__all__ = ["Place", "locate", "locate_number"]


@dataclass(frozen=True)
class Place:
    """One place. ``certain``: rows were counted; else the person may be in it.

    ``until``: the last day on which policy keeps what is there, None where another event ends it.
    ``days``: how long policy keeps it after that event, where it says so. Which event it is, and
    what follows, is ``rights.clock.<name>`` of the message catalogue.
    """

    name: str
    rows: int
    first: date | None
    until: date | None
    certain: bool
    days: int | None = None


def locate(inst: Installation, owner: Owner, subject: UUID, by: str, now: datetime) -> list[Place]:
    """Return the places of ``subject``, and write into the ledger that somebody asked.

    Restricted people are located too: what is stored only has to be found. Raises
    ``AccessRefused`` for nobody.
    """
    check_staff(by)
    policy = inst.policy
    with inst.store.begin(controller=owner.id, storage=True) as connection:
        seen = connection.execute(text(_SEEN), {"who": subject}).first()
        if seen is None:
            raise AccessRefused("vault.nobody")
        since, wrapped = seen
        ring = open_ring(connection, inst.store.provider, owner)
        (secret,) = ring.unwrap_salts([subject.bytes], [wrapped])
        tokens = {secret[16:], *graves_of(connection, ring, [subject])}
        found = [
            _place(policy, name, rule, rows, since if name == "subject" else first, last, end)
            for name, rule, rows, first, last, end in connection.execute(
                text(_TABLES), {"who": subject}
            )
            if rows
        ]
        generations = [row[0] for row in connection.execute(text(_BACKUPS), {"since": since})]
    found += [
        one for one in (_held(inst, owner, subject), *_given(inst, owner, subject)) if one.rows
    ]
    if generations:
        keep = load_backup_policy(inst.settings.policy).keep.at_most_days
        last = max(generations) + timedelta(days=keep)
        found.append(Place("backup", len(generations), min(generations), last, True, keep))
    found += _answers(inst, owner, subject)
    return found + _rest(inst, owner, tokens, by, now)


def locate_number(
    inst: Installation, owner: Owner, phone: str, by: str, now: datetime
) -> tuple[list[Place], int]:
    """Return the places of whoever has ``phone`` now, and how many holders the store knows.

    Without a holder: what an erasure left of this number. Raises ``AccessRefused`` when there is
    nothing at all, ``PolicyError`` for something that is no mobile number.
    """
    holders, known = erasure.find_subjects(inst.store, owner, phone)
    if holders:
        return locate(inst, owner, holders[0], by, now), known
    check_staff(by)
    number = erasure.canonical_number(phone)
    with inst.store.begin(controller=owner.id) as connection:
        ring = open_ring(connection, inst.store.provider, owner)
        tokens = {bytes(token) for token in ring.tombstones("mobile", [number]).tolist()}
    found = _rest(inst, owner, tokens, by, now)
    if not any(place.certain for place in found):
        raise AccessRefused("vault.nobody")
    return found, 0


def _rest(
    inst: Installation, owner: Owner, tokens: Collection[bytes], by: str, now: datetime
) -> list[Place]:
    """What is found by number alone, and what can only be supposed."""
    policy, day = inst.policy, now.astimezone(SHANGHAI).date()
    with inst.store.begin(controller=owner.id) as connection:
        found = _left(connection, inst, owner, tokens)
    with inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, inst.store.provider, owner)
        waiting = find_waiting(connection, inst.store.provider, ring, tokens)
        facts = {"controller": owner.code, "action": "locate", "by": by}
        opened = {"rows_opened": waiting.opened}
        journal.append(connection, "request", f"locate-{owner.code}", now, {**facts, **opened})
    for name, rule, young in (
        ("quarantine", "quarantine", False),
        ("quarantined_minor", "quarantined_minor", True),
    ):
        days = [row.day for row in waiting.rows if (row.rule == MINOR) == young]
        if days:
            keep = policy.keep_days(rule)
            last = max(days) + timedelta(days=keep)
            found.append(Place(name, len(days), min(days), last, True, keep))
    if waiting.silent and waiting.oldest:
        keep = policy.keep_days("quarantine")
        last = waiting.oldest + timedelta(days=keep)
        found.append(Place("quarantine_silent", waiting.silent, waiting.oldest, last, False, keep))
    if any(inst.settings.archive.glob("*/*/*.sealed")):
        keep = policy.keep_days("landing_archive")
        last = day + timedelta(days=keep)
        found.append(Place("archive", 0, None, last, False, keep))
    return [*found, Place("landing", 0, None, None, False)]


def _left(
    connection: Connection, inst: Installation, owner: Owner, tokens: Collection[bytes]
) -> list[Place]:
    """Tombstones and refusals that outlast a person."""
    ring = open_ring(connection, inst.store.provider, owner)
    kept = suppression_tokens(ring, sorted(tokens))
    found = []
    for name, query, values in (
        ("tombstone", _TOMBSTONE, tokens),
        ("suppression", _SUPPRESSION, kept),
    ):
        who = {"tokens": [UUID(bytes=token) for token in sorted(values)]}
        rows, first = connection.execute(text(query), who).one()
        if rows:
            found.append(Place(name, rows, first, None, True))
    return found


def _place(
    policy: Policy,
    name: str,
    rule: str,
    rows: int,
    first: date | None,
    last: date | None,
    end: date | None,
) -> Place:
    if not rule:
        return Place(name, rows, first, end, True)
    rules = policy.retention if rule in policy.retention else policy.elsewhere
    days = rules[rule].keep_days
    until = last + timedelta(days=days) if last is not None and days is not None else end
    return Place(name, rows, first, until, True, days)


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
        said, heard, newest = connection.execute(text(_COMPLAINT), values).one()
    keep = inst.policy.elsewhere["handover_record"].keep_days
    return [
        Place("disclosure", rows, first, until, certain=True),
        Place("handover", moved, opened, None, True, keep),
        _place(inst.policy, "complaint", "request_record", said, heard, newest, None),
    ]


def _answers(inst: Installation, owner: Owner, subject: UUID) -> list[Place]:
    """Sealed packages of answers that still lie here."""
    keep = load_rights_book(inst.settings.policy).answer_days
    with inst.store.begin(OFFICER, owner.id) as connection:
        rows = connection.execute(text(_DONE), {"who": subject}).all()
    folder = inst.settings.home / "answers"
    days = [row.day for row in rows if (folder / f"{row.request}.zip.age").exists()]
    if not days:
        return []
    last = max(days) + timedelta(days=keep)
    return [Place("answer", len(days), min(days), last, True, keep)]


_SEEN = (
    "SELECT (first_seen AT TIME ZONE 'Asia/Shanghai')::date, wrapped_salt FROM subject"
    " WHERE subject_id = :who"
)
_DAY = (
    "(min({0}) AT TIME ZONE 'Asia/Shanghai')::date, (max({0}) AT TIME ZONE 'Asia/Shanghai')::date"
)
_ASK = (
    ("subject", "person_without_parcels", "last_seen", "NULL::date"),
    ("parcel", "pickup_record", "coalesce(collected_at, arrived_at)", "NULL::date"),
    ("custody", "", "arrived_at", "NULL::date"),
    ("preference", "idle_preference", "updated_at", "NULL::date"),
    ("consent_event", "", "at", "NULL::date"),
    ("access_log", "access_record", "at", "NULL::date"),
    ("restriction", "", "restricted_at", "max(until)"),
    ("legal_hold", "", "placed_at", "max(until)"),
    ("correction", "", "corrected_at", "NULL::date"),
    ("subject_request", "request_record", "requested_at", "NULL::date"),
)
_TABLES = " UNION ALL ".join(
    f"SELECT '{table}', '{rule}', count(*), {_DAY.format(at)}, {end} FROM {table}"
    " WHERE subject_id = :who"
    for table, rule, at, end in _ASK
)
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
_COMPLAINT = f"SELECT count(*), {_DAY.format('received_at')} FROM complaint WHERE subject_id = :who"
_DONE = (
    "SELECT request, (done_at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM subject_request"
    " WHERE subject_id = :who AND state = 'done'"
)
_TOMBSTONE = (
    "SELECT count(*), (min(erased_at) AT TIME ZONE 'Asia/Shanghai')::date FROM tombstone"
    " WHERE token = ANY (:tokens)"
)
_SUPPRESSION = "SELECT count(*), min(refused_on) FROM suppression WHERE token = ANY (:tokens)"
