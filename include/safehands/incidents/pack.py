"""The evidence pack for an auditor or authority: period and scope, counts only, verifiable offline.

One signed document (``safehands verify FILE`` with the public key alone): the ledger's checkpoint,
rule results, assessments, agreements, disclosures, incidents with their events, drills, complaints,
proofs of backups and certificates, all read as the auditor, who sees no person.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.certificates import certificate, keep_certificate
from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.ledger import body_digest
from safehands.store.register import Owner

__all__ = ["KIND", "PARTS", "pack"]

KIND = "evidence_pack"

_DAYS = "BETWEEN :first AND :last"
PARTS: dict[str, str] = {
    "rule_results": (
        "SELECT DISTINCT ON (rule, occasion) rule, occasion, business_date, edition, outcome"
        f" FROM rule_result WHERE controller_id = :owner AND business_date {_DAYS}"
        " ORDER BY rule, occasion, business_date DESC, id DESC"
    ),
    "figures": (
        "SELECT name, scope, day, number, source FROM rule_figure WHERE controller_id = :owner"
        f" AND day {_DAYS} ORDER BY name, scope, day, id"
    ),
    "findings": (
        "SELECT rule, opened, due, duty, state, closed FROM finding WHERE controller_id = :owner"
        f" AND opened {_DAYS} ORDER BY id"
    ),
    "register": (
        "SELECT entry, kind, held_on, valid_until, duty, file_digest, withdrawn"
        f" FROM control_evidence WHERE controller_id = :owner AND held_on {_DAYS} ORDER BY id"
    ),
    "risk_assessments": (
        "SELECT business_date, figures FROM risk_assessment WHERE controller_id = :owner"
        f" AND business_date {_DAYS} ORDER BY id DESC LIMIT 12"
    ),
    "agreements": (
        "SELECT code, digest, recorded_at, document ->> 'role' AS role,"
        " document ->> 'model' AS model, document ->> 'file_digest' AS file_digest"
        " FROM agreement WHERE controller_id = :owner ORDER BY code, recorded_at"
    ),
    "disclosures": (
        "SELECT id, agreement, agreement_digest, purpose, basis, business_date, abroad, people,"
        f" rows, file_digest FROM disclosure WHERE controller_id = :owner AND business_date {_DAYS}"
        " ORDER BY id"
    ),
    "incidents": (
        "SELECT id, kind, drill, discovered_at, began_at, ended_at FROM incident"
        " WHERE controller_id = :owner"
        f" AND (discovered_at AT TIME ZONE 'Asia/Shanghai')::date {_DAYS} ORDER BY id"
    ),
    "incident_events": (
        "SELECT incident_id, kind, name, at, facts FROM incident_event"
        " WHERE controller_id = :owner"
        f" AND (at AT TIME ZONE 'Asia/Shanghai')::date {_DAYS} ORDER BY id"
    ),
    "complaints": (
        "SELECT topic, outcome, count(*) AS number, count(*) FILTER (WHERE coalesce((answered_at"
        " AT TIME ZONE 'Asia/Shanghai')::date, :last) > due) AS late FROM complaint"
        " WHERE controller_id = :owner"
        f" AND (received_at AT TIME ZONE 'Asia/Shanghai')::date {_DAYS}"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    ),
    "erasures": (
        "SELECT request, state, erased_at FROM erasure WHERE controller_id = :owner"
        f" AND (requested_at AT TIME ZONE 'Asia/Shanghai')::date {_DAYS} ORDER BY 1"
    ),
    "restore_drills": (
        f"SELECT business_date, passed, rto_seconds FROM restore_drill WHERE business_date {_DAYS}"
        " ORDER BY id"
    ),
    "backup_proofs": (
        "SELECT kind, manifest_digest, proved_at FROM generation_proof"
        f" WHERE (proved_at AT TIME ZONE 'Asia/Shanghai')::date {_DAYS} ORDER BY id"
    ),
    "ledger_checkpoints": "SELECT size FROM ledger_checkpoint ORDER BY size DESC LIMIT 1",
}
"""What may be in a pack, and where it comes from."""


def pack(
    inst: Installation,
    owner: Owner,
    first: date,
    last: date,
    out: Path,
    parts: tuple[str, ...] = (),
) -> dict[str, int]:
    """Write the pack of ``parts`` (default: all) from ``first`` to ``last``; return rows per part.

    Raises ``AccessRefused`` for an unknown part or a period that ends before it begins.
    """
    if first > last or set(parts) - PARTS.keys():
        raise AccessRefused("pack.parts", known=", ".join(PARTS))
    now, wanted = inst.clock(), parts or tuple(PARTS)
    with inst.store.begin("safehands_auditor", owner.id) as connection:
        found = {name: _rows(connection, name, owner, first, last) for name in wanted}
    body = {
        "format": "safehands-evidence-pack/1",
        "controller": owner.code,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "made_at": now.isoformat(timespec="seconds"),
        "parts": found,
    }
    counts = {name: len(rows) for name, rows in found.items()}
    with inst.store.begin() as connection:
        facts: dict[str, Any] = {
            "controller": owner.code,
            "first": body["first"],
            "last": body["last"],
        }
        facts["rows"] = sum(counts.values())
        digest = body_digest(KIND, body)
        journal.append(connection, KIND, f"pack-{owner.code}", now, facts, digest)
    journal.sequence(inst.store, now)
    keep_certificate(out, certificate(inst.store, KIND, body))
    return counts


def _rows(
    connection: Connection, name: str, owner: Owner, first: date, last: date
) -> list[dict[str, Any]]:
    values = {"owner": owner.id, "first": first, "last": last}
    rows = connection.execute(text(PARTS[name]), values).mappings()
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """Return a value as canonical JSON takes it: times and numbers with a point as text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
