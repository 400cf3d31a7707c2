"""What the rule book, the gates and the pages want to know of sharing and incidents.

``incident_figures`` records counts every day (the DAG ``tick``); ``incident_numbers`` returns
what a page shows, as counts and names of policy alone: no staff id, no person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from safehands.incidents.book import IncidentBook, gaps, load_incident_book
from safehands.incidents.cases import cases
from safehands.incidents.complaints import complaints, statistics
from safehands.incidents.tasks import tasks
from safehands.incidents.unusual import access, alerts, raise_alerts
from safehands.installation import Installation
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.sharing import ending, load_share_book
from safehands.store.register import Owner, owners
from safehands.vault.access import OFFICER

__all__ = ["incident_figures", "incident_numbers"]


def incident_figures(inst: Installation, day: date, run: str) -> dict[str, dict[str, int]]:
    """Record each owner's figures for ``day`` and return them; the same run replaces its own.

    Contacts that are missing or old, complaints past their day, agreements that ended or end soon,
    and unusual access of the day and of the one before (a morning does not see its own evening).
    """
    told: dict[str, dict[str, int]] = {}
    names = load_rulebook(inst.settings.policy).figures
    book = load_incident_book(inst.settings.policy)
    for owner in owners(inst.store).values():
        found = _figures(inst, book, owner, day)
        with inst.store.begin(controller=owner.id) as connection:
            for name, (number, source) in found.items():
                record_figure(
                    connection, names, owner, name, number, day=day, run=run, source=source
                )
        told[owner.code] = {name: number for name, (number, _) in found.items()}
    return told


def incident_numbers(
    connection: Connection, inst: Installation, owner: Owner, day: date, days: int = 30
) -> dict[str, Any]:
    """Return the figures of the page on access, sharing and incidents; as the bound officer.

    ``access``: per day of the last ``days`` how many reveals and rows in files, oldest first;
    ``hours``: the same per hour of the day (Asia/Shanghai); ``alerts``: alerts of ``day`` by rule;
    ``limits``: the fixed limits of policy; ``disclosures``, ``agreements``, ``recalls``,
    ``incidents``, ``tasks``, ``complaints``, ``contacts``: counts.
    """
    book = load_incident_book(inst.settings.policy)
    shared = load_share_book(inst.settings.policy, inst.policy)
    found = cases(connection)
    real = [one for one in found if not one.drill and not one.first("closed")]
    due = [task for one in real for task in tasks(book, one) if task.done is None]
    first = day - timedelta(days=days - 1)
    rows = access(connection, first, day)
    codes = [code for code, one in shared.agreements.items() if owner.code in one.owners]
    soon = {code for code, _ in ending(shared, day)}
    given = connection.execute(text(_GIVEN), {"first": first, "day": day}).one()
    raised = [one.rule for one in alerts(connection, book, day)]
    return {
        "access": [_of_day(rows, first + timedelta(days=n)) for n in range(days)],
        "hours": [_of_hour(rows, hour) for hour in range(24)],
        "alerts": {rule: raised.count(rule) for rule in sorted(set(raised))},
        "limits": book.unusual.model_dump(),
        "disclosures": {"files": given.files, "people": given.people, "abroad": given.abroad},
        "agreements": {"listed": len(codes), "ending": sum(code in soon for code in codes)},
        "recalls": {"due": given.due, "sent": given.sent},
        "incidents": {"open": len(real), "drills": sum(one.drill for one in found)},
        "tasks": {"open": len(due), "clocks": sum(task.kind == "clock" for task in due)},
        "complaints": statistics(complaints(connection), day),
        "contacts": {"kinds": len(book.contact_kinds), "gaps": len(gaps(book, owner.code, day))},
    }


def _figures(
    inst: Installation, book: IncidentBook, owner: Owner, day: date
) -> Mapping[str, tuple[int, str]]:
    shared = load_share_book(inst.settings.policy, inst.policy)
    soon = [code for code, _ in ending(shared, day) if owner.code in shared.agreements[code].owners]
    with inst.store.begin(OFFICER, owner.id) as connection:
        late = sum(one.answered_at is None and one.due < day for one in complaints(connection))
    days = (day - timedelta(days=1), day)
    unusual = sum(len(raise_alerts(inst, book, owner, one)) for one in days)
    return {
        "plan.contacts_open": (len(gaps(book, owner.code, day)), "contacts.yaml"),
        "requests.complaints_overdue": (late, "complaint"),
        "sharing.agreements_ending": (len(soon), "agreements.yaml"),
        "access.unusual": (unusual, "access_log"),
    }


def _of_day(rows: Sequence[Row[Any]], day: date) -> dict[str, Any]:
    mine = [row for row in rows if row.day == day]
    return {"day": day.isoformat(), **_sums(mine)}


def _of_hour(rows: Sequence[Row[Any]], hour: int) -> dict[str, Any]:
    return {"hour": hour, **_sums([row for row in rows if row.hour == hour])}


def _sums(rows: Sequence[Row[Any]]) -> dict[str, int]:
    files = sum(int(row.number) for row in rows if row.what in ("file", "send_file"))
    return {"records": sum(int(row.number) for row in rows) - files, "rows_in_files": files}


_GIVEN = (
    "SELECT (SELECT count(*) FROM disclosure WHERE business_date BETWEEN :first AND :day) AS files,"
    " (SELECT coalesce(sum(people), 0)::int FROM disclosure"
    " WHERE business_date BETWEEN :first AND :day) AS people,"
    " (SELECT count(*) FROM disclosure WHERE abroad"
    " AND business_date BETWEEN :first AND :day) AS abroad,"
    " (SELECT count(*) FROM disclosure_subject WHERE state = 'due') AS due,"
    " (SELECT count(*) FROM disclosure_subject WHERE state = 'sent') AS sent"
)
