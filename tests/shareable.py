"""What has to be on record before the gate of sharing opens, as earlier parts would leave it."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import text

from safehands.installation import Installation
from safehands.organisation import Row, record
from safehands.play.office import assess_for

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
    assess_for(inst, owner, "sharing", code, day - timedelta(days=1))


_QUALITY = (
    "INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,"
    " dimension, severity, evaluated, failed) SELECT id, 'n-1', :day, 'S1', 'parcels',"
    " 'pseudonymised', 'pseudonymised.mobile_like', 'validity', 'warning', 10, 0 FROM controller"
    " WHERE code = :code"
)
