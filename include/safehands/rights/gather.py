"""Everything that is held about one person, and nothing about anybody else (PIPL 45).

A person here is a subject: an earlier or later holder of the same number is another subject, and so
is somebody with the same name. Rows are found by the subject id alone, as the officer, under
row-level security; the record and the slips come through the vault's doors, which write the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import consent
from safehands.installation import Installation
from safehands.keys import KeyRing
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.rights.waiting import WaitingRow, find_waiting
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access, officer_ring
from safehands.vault.numbers import graves_of
from safehands.vault.record import KIND, Record, opened, was_called
from safehands.vault.reveal import reveal
from safehands.vault.slips import slips

__all__ = ["gather", "rows_aside"]

Held = dict[str, Any]


def gather(inst: Installation, owner: Owner, subject: UUID, by: str, now: datetime) -> Held:
    """Return what is held about ``subject`` as JSON-able plain data, in sections.

    ``person``, ``parcels``, ``waiting``, ``preferences``, ``answers``, ``uses`` (who opened or
    changed the record, without the staff's ids), ``requests``, ``given`` (files that others got
    with the person in them, PIPL 23) and ``handovers`` (PIPL 22).

    ``quarantine``: rows that wait under the person's number and name, or under the number alone.

    Raises ``AccessRefused`` for nobody and for a restricted person (release first), and above the
    limit of reveals.
    """
    access = Access(owner.code, by, "rights")
    record = reveal(inst.store, inst.policy, access, now, subject=subject, reason="request")
    waiting = slips(inst.store, inst.policy, access, now, subject)
    policy = inst.policy
    with inst.store.begin(OFFICER, owner.id) as connection:
        who = {"who": subject}
        parcels = [
            _parcel(policy, dict(row)) for row in connection.execute(text(_PARCELS), who).mappings()
        ]
        wishes = [
            _wish(policy, dict(row)) for row in connection.execute(text(_WISHES), who).mappings()
        ]
        uses = [_plain(dict(row)) for row in connection.execute(text(_USES), who).mappings()]
        asked = [_plain(dict(row)) for row in connection.execute(text(_ASKED), who).mappings()]
        given = [_plain(dict(row)) for row in connection.execute(text(_GIVEN), who).mappings()]
        moved = [_plain(dict(row)) for row in connection.execute(text(_MOVED), who).mappings()]
        ring = officer_ring(connection, inst.store.provider, owner)
        aside = _aside(connection, inst, ring, subject)
        answers = [
            _plain({k: v for k, v in one.items() if k != "subject_id"})
            for one in consent.history(connection, [subject])
        ]
    return {
        "person": {
            **record.fields,
            "masked": record.masked,
            "first_seen": record.first_seen.isoformat(),
            "last_seen": record.last_seen.isoformat(),
        },
        "parcels": parcels,
        "waiting": list(waiting.values()),
        "preferences": wishes,
        "answers": answers,
        "uses": uses,
        "requests": asked,
        "given": given,
        "handovers": moved,
        "quarantine": aside,
    }


def rows_aside(
    connection: Connection, inst: Installation, ring: KeyRing, subjects: Collection[UUID]
) -> dict[UUID, list[WaitingRow]]:
    """Return the rows in quarantine that are these people's, each looked at once for all of them.

    They show a number of theirs, and either no name or one they have or had. What shows the number
    with another name may be somebody else's. Under a name that is masked by now, one that would be
    masked alike counts as theirs. The transaction is bound to the owner, as the officer; nobody
    and restricted people have none.
    """
    rows = connection.execute(text(_RECORDS), {"who": list(subjects)}).all()
    ids = [row[0].bytes for row in rows]
    secrets = ring.unwrap_salts(ids, [row[1] for row in rows])
    plain = ring.unseal(KIND, ids, [secret[:16] for secret in secrets], [row[2] for row in rows])
    people: dict[bytes, list[tuple[UUID, Record]]] = {}
    for row, secret, sealed in zip(rows, secrets, plain, strict=True):
        person = (row[0], opened(sealed))
        for token in {secret[16:], *graves_of(connection, ring, [row[0]])}:
            people.setdefault(token, []).append(person)
    found: dict[UUID, list[WaitingRow]] = {}
    for one in find_waiting(connection, inst.store.provider, ring, people).rows:
        for subject, record in (person for token in one.shows for person in people[token]):
            if not one.name or was_called(record, one.name):
                found.setdefault(subject, []).append(one)
    return found


def _aside(
    connection: Connection, inst: Installation, ring: KeyRing, subject: UUID
) -> list[dict[str, Any]]:
    labels = {
        name: rule.label
        for dataset in inst.policy.datasets.values()
        for name, rule in dataset.fields.items()
    }
    return [
        {
            "day": row.day.isoformat(),
            "row": "; ".join(
                f"{labels[name].zh if name in labels else name}: {cell}"
                for name, cell in row.cells.items()
            ),
        }
        for row in rows_aside(connection, inst, ring, [subject]).get(subject, [])
    ]


def _parcel(policy: Policy, row: dict[str, Any]) -> dict[str, Any]:
    for name in ("carrier", "status", "weight_band"):
        row[name] = _code(policy, name, row[name])
    return _plain(row)


def _wish(policy: Policy, row: dict[str, Any]) -> dict[str, Any]:
    for name in ("notify_channel", "delivery_choice", "time_window"):
        row[name] = _code(policy, name, row[name])
    return _plain(row)


def _code(policy: Policy, name: str, number: int) -> str:
    codes = policy.codes.get(name)
    return f"{codes.label(number, 'zh')} / {codes.label(number, 'en')}" if codes else str(number)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(SHANGHAI).isoformat(timespec="minutes")
        if isinstance(value, datetime)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for name, value in row.items()
    }


_RECORDS = "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE subject_id = ANY (:who)"
_PARCELS = (
    "SELECT s.name AS station, p.carrier, p.status, p.arrived_at, p.collected_at, p.district,"
    " p.weight_band FROM parcel p JOIN station s ON s.id = p.station_id"
    " WHERE p.subject_id = :who ORDER BY p.arrived_at"
)
_WISHES = (
    "SELECT notify_channel, delivery_choice, time_window, marketing, updated_at FROM preference"
    " WHERE subject_id = :who"
)
_USES = "SELECT at, action, purpose, fields FROM access_log WHERE subject_id = :who ORDER BY at, id"
_ASKED = (
    "SELECT request, kind, state, requested_at, latest FROM subject_request"
    " WHERE subject_id = :who ORDER BY requested_at, request"
)
_GIVEN = (
    "SELECT d.business_date AS day, d.facts->'recipient'->>'zh' AS recipient, d.purpose, s.state"
    " FROM disclosure_subject s JOIN disclosure d ON d.id = s.disclosure_id"
    " WHERE s.subject_id = :who ORDER BY d.id"
)
_MOVED = (
    "SELECT h.opened_at AS at, h.mode, h.state, s.class FROM handover_subject s"
    " JOIN handover h USING (handover_id) WHERE s.subject_id = :who ORDER BY h.opened_at"
)
