"""Look at all evidence once and say what somebody should know."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection

from safehands.alerts.book import AlertBook
from safehands.alerts.deadlines import deadlines, incident_clocks
from safehands.alerts.failures import failures
from safehands.alerts.found import Found
from safehands.alerts.standing import drills, edition_changes, nights, risks, verdicts
from safehands.backuppolicy import load_backup_policy
from safehands.incidents import IncidentBook, alerts, load_incident_book
from safehands.installation import Installation
from safehands.rulebook import load_rulebook

__all__ = ["find"]


def find(inst: Installation, book: AlertBook, day: date, now: datetime) -> list[Found]:
    """Return what holds on ``day`` (Asia/Shanghai) at ``now``, the urgent first; often nothing."""
    policy = inst.settings.policy
    incident_book = load_incident_book(policy)
    with inst.store.begin("safehands_auditor") as connection:
        found = [
            *failures(inst.settings, day, book.failure_days),
            *incident_clocks(connection, incident_book, now),
            *deadlines(connection, book, day),
            *nights(connection, book, day),
            *drills(connection, load_backup_policy(policy).drill.every_days, day),
            *_unusual(connection, incident_book, day),
            *risks(connection, book),
            *verdicts(connection),
        ]
    found += edition_changes(load_rulebook(policy), book, day)
    return sorted(found, key=lambda one: not book.kinds[one.kind].urgent)


def _unusual(connection: Connection, book: IncidentBook, day: date) -> list[Found]:
    return [
        Found(
            "unusual_access",
            f"{day}/{one.by}/{one.what}/{one.rule}",
            {"by": one.by, "number": one.number, "limit": one.limit, "day": day.isoformat()},
        )
        for one in alerts(connection, book, day)
    ]
