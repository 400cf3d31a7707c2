"""Everything that is held about one person, and nothing about anybody else (PIPL 45).

A person here is a subject: an earlier or later holder of the same number is another subject, and so
is somebody with the same name. Rows are found by the subject id alone, as the officer, under
row-level security; the record and the slips come through the vault's doors, which write the ledger.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from safehands import consent
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access
from safehands.vault.reveal import reveal
from safehands.vault.slips import slips

__all__ = ["gather"]

Held = dict[str, Any]


def gather(inst: Installation, owner: Owner, subject: UUID, by: str, now: datetime) -> Held:
    """Return what is held about ``subject`` as JSON-able plain data, in sections.

    ``person``, ``parcels``, ``waiting``, ``preferences``, ``answers``, ``uses`` (who opened or
    changed the record, without the staff's ids), ``requests``, ``given`` (files that others got
    with the person in them, PIPL 23) and ``handovers`` (PIPL 22).

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
    }


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
