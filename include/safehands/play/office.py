"""The seller's office: what a station has to show before the gate of a hand-over opens.

Each piece goes the way a person would take: a document whose digest is registered, a declaration,
a published notice, an impact assessment that is answered by name and signed. Nothing is written
past the checks, so that a rule that is not met stays so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from safehands import pipia
from safehands.consent import night_figures
from safehands.installation import Installation
from safehands.notices import compose, load_consent_book, load_notice_book, publish
from safehands.organisation import Row, record
from safehands.organisation.catalogue import load_organisation
from safehands.stations import Controller

__all__ = ["DECLARED", "STAFF", "assess_for", "document", "equip", "tell_terms"]

STAFF = "wang.li"
"""Staff id of whoever acts for the seller in a play."""

DECLARED: dict[str, float] = {
    "people_elsewhere": 0,
    "sensitive_people_elsewhere": 0,
    "licensed_courier": 0,
    "courier_contract": 0,
    "online_shop": 0,
    "platform": 0,
    "processors": 1,
    "marketing": 0,
    "minors": 0,
    "face_pickup": 0,
    "cctv": 1,
    "important_data_notified": 0,
    "storage_outside_mainland": 0,
    "log_days": 184,
    "bulk_export_alert_rows": 1000,
    "audit_ordered": 0,
    "complaints_overdue": 0,
}
"""A small station: one processor (the text-message gateway), cameras, no online shop."""


def document(folder: Path, name: str, words: str) -> str:
    """Write an invented document and return its SHA-256 as hex."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = f"样例文件，虚构 / sample document, invented\n{name}\n{words}\n".encode()
    (folder / f"{name}.txt").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def equip(
    inst: Installation,
    owner: str,
    folder: Path,
    day: date,
    declared: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """Register every kind of evidence with a document and the owner's declarations.

    Return the digest of each document. What the nightly report counts of consent is counted for
    ``day`` as well. The same again changes nothing.
    """
    organisation = load_organisation(inst.settings.policy)
    digests, rows = {}, []
    for kind, about in organisation.kinds.items():
        if kind == "impact_assessment":
            continue
        digests[kind] = document(folder, f"{owner}-{kind}", about.label.en)
        until = day + timedelta(days=about.valid_days)
        rows.append(Row(owner, "evidence", kind, day, until, 0.0, "owner", STAFF, digests[kind]))
    for kind, number in {**DECLARED, **(declared or {})}.items():
        until = day + timedelta(days=organisation.declarations[kind].valid_days)
        rows.append(Row(owner, "declaration", kind, day, until, number, "owner", STAFF, ""))
    record(inst, rows, day)
    night_figures(inst, day, f"play-{day.isoformat()}")
    return digests


def tell_terms(inst: Installation, controller: Controller, day: date, now: datetime) -> int:
    """Publish the owner's privacy notice, which names the hand-over; return its number."""
    policy, folder = inst.policy, inst.settings.policy
    consent, notice = load_consent_book(folder, policy), load_notice_book(folder, policy)
    made = compose(policy, consent, notice, controller)
    return publish(inst.store, made, day, STAFF, now)[0]


def assess_for(
    inst: Installation, owner: str, occasion: pipia.OccasionName, scope: str, day: date
) -> str:
    """Answer every judgement of an impact assessment by name, sign it, and return its digest.

    The answers are those of a careful small station: low impact, controls in place.
    """
    assert occasion in get_args(pipia.OccasionName)
    case = pipia.start(inst, owner, occasion, day, scope)
    seen = pipia.look(inst, case, day)
    for one in seen.answers.values():
        asked: Any = one.question
        if asked.is_judgement:
            choice = 1 if 1 in asked.choices else min(asked.choices)
            pipia.answer(inst, case, one.name, choice, STAFF, "虚构 / invented", day, seen)
    return pipia.sign(inst, case, STAFF, day)
