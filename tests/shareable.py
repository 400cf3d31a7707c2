"""What has to be on record before the gate of sharing opens, as earlier parts would leave it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from uuid import uuid4

from sqlalchemy import text

from safehands.installation import Installation
from safehands.organisation import Row, record
from safehands.store.register import owners

__all__ = ["assessed", "shareable", "supervised"]

THREATS = {
    "deliberate": 0.2,
    "inadvertent": 0.1,
    "breach": 0.2,
    "assessor": "li.ming",
    "judged": "2026-11-01",
}
"""A named judgement of GB/T 42460's three threats, for an agreement."""


def shareable(inst: Installation, owner: str, day: date, *agreements: str) -> None:
    """Leave a supervised third party, a clean night, a report, and assessments that are signed."""
    supervised(inst, owner, day)
    values = {"code": owner, "day": day}
    with inst.store.admin().begin() as connection:
        connection.execute(text(_QUALITY), values)
    folder = inst.settings.reports / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("nothing of a person", encoding="utf-8")
    for code in agreements:
        assessed(inst, owner, day, code)


def supervised(inst: Installation, owner: str, day: date) -> None:
    """Register the third party's agreement, its supervision, and an impact assessment."""
    until = day + timedelta(days=300)
    kinds = ("processor_agreement", "supervision", "impact_assessment")
    record(
        inst,
        [Row(owner, "evidence", kind, day, until, 0.0, "officer", "", "") for kind in kinds],
        day,
    )


def assessed(inst: Installation, owner: str, day: date, code: str) -> None:
    """Leave an impact assessment for sharing under ``code``, signed the day before."""
    number, signed = uuid4(), day - timedelta(days=1)
    until = day + timedelta(days=300)
    facts = {
        "valid_until": until.isoformat(),
        "keep_until": until.replace(year=until.year + 3).isoformat(),
        "worst": 2,
        "acceptable": True,
    }
    values = {
        "id": number,
        "owner": owners(inst.store)[owner].id,
        "code": code,
        "day": signed,
        "facts": json.dumps(facts),
    }
    with inst.store.admin().begin() as connection:
        for statement in (_PIPIA, _SIGNED):
            connection.execute(text(statement), values)


_QUALITY = (
    "INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,"
    " dimension, severity, evaluated, failed) SELECT id, 'n-1', :day, 'S1', 'parcels',"
    " 'pseudonymised', 'pseudonymised.mobile_like', 'validity', 'warning', 10, 0 FROM controller"
    " WHERE code = :code"
)
_PIPIA = (
    "INSERT INTO pipia (pipia_id, controller_id, occasion, scope, form, opened)"
    " VALUES (:id, :owner, 'sharing', :code, 'full', :day)"
)
_SIGNED = (
    "INSERT INTO pipia_event (pipia_id, controller_id, kind, day, facts, sealed)"
    " VALUES (:id, :owner, 'signed', :day, CAST(:facts AS jsonb), '')"
)
