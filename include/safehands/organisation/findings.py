"""The findings register: what is to be put right, by which duty, until when, before and after.

A finding belongs to a rule. Its figure before and after is the rule's measured number when it was
opened and when it was closed, so that improvement shows without anybody's prose. A name and a note
are sealed (see ``names``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text

from safehands import journal
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.organisation import names
from safehands.organisation.register import owner_of

__all__ = ["Finding", "close", "findings", "open_finding"]

EVENT = "finding"


@dataclass(frozen=True)
class Finding:
    """One finding as everybody may see it. ``before`` and ``after`` are in ``measure``'s unit."""

    id: int
    owner: str
    rule: str
    source: str
    opened: date
    due: date
    duty: str
    measure: str
    before: float | None
    after: float | None
    closed: date | None
    state: str

    def overdue(self, day: date) -> bool:
        """Say whether it is still open on ``day`` and past its due date."""
        return self.state == "open" and self.due < day


def open_finding(
    inst: Installation,
    owner: str,
    rule: str,
    *,
    day: date,
    due: date,
    duty: str,
    source: str,
    figure: tuple[str, float | None],
    responsible: str = "",
    note: str = "",
) -> bool:
    """Open a finding about ``rule``; return false when one is open already.

    ``figure`` is the measure's name and its number before. Raises ``PolicyError`` for an unknown
    owner or a due date before ``day``.
    """
    found = owner_of(inst, owner)
    if due < day:
        raise PolicyError("organisation.due_before", rule=rule, due=due.isoformat())
    values: dict[str, Any] = {
        "owner": found.id,
        "rule": rule,
        "source": source,
        "opened": day,
        "due": due,
        "duty": duty,
        "measure": figure[0],
        "before": figure[1],
        "sealed": names.seal(inst.provider, found.code, day, responsible, note),
    }
    with inst.store.begin(controller=found.id) as connection:
        if connection.execute(text(_OPEN), values).rowcount == 0:
            return False
        facts = {"controller": found.code, "rule": rule, "opened": 1, "due": due.isoformat()}
        _append(inst, connection, facts)
        return True


def close(
    inst: Installation, owner: str, rule: str, *, day: date, after: float | None, accepted: bool
) -> None:
    """Close the open finding about ``rule`` with its figure ``after``.

    ``accepted`` says that the risk is accepted and the rule is still not met. Raises
    ``PolicyError`` when there is no open finding about it.
    """
    found = owner_of(inst, owner)
    state = "accepted" if accepted else "closed"
    values = {"owner": found.id, "rule": rule, "day": day, "after": after, "state": state}
    with inst.store.begin(controller=found.id) as connection:
        if connection.execute(text(_CLOSE), values).rowcount == 0:
            raise PolicyError("organisation.no_open_finding", rule=rule, owner=found.code)
        _append(inst, connection, {"controller": found.code, "rule": rule, state: 1})


def findings(inst: Installation, *, state: str = "") -> list[Finding]:
    """Return all findings, or those in ``state``, those due first first."""
    with inst.store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(_ALL), {"state": state})
        return [Finding(**row) for row in rows.mappings()]


def _append(inst: Installation, connection: Any, facts: Mapping[str, Any]) -> None:
    now = inst.clock()
    journal.append(connection, EVENT, f"{EVENT}-{now.date().isoformat()}", now, facts)


_OPEN = (
    "INSERT INTO finding (controller_id, rule, source, opened, due, duty, measure, before, sealed)"
    " VALUES (:owner, :rule, :source, :opened, :due, :duty, :measure, :before, :sealed)"
    " ON CONFLICT DO NOTHING"
)
_CLOSE = (
    "UPDATE finding SET state = :state, closed = :day, after = :after"
    " WHERE controller_id = :owner AND rule = :rule AND state = 'open'"
)
_ALL = (
    "SELECT f.id, c.code AS owner, f.rule, f.source, f.opened, f.due, f.duty, f.measure, f.before,"
    " f.after, f.closed, f.state FROM finding f JOIN controller c ON c.id = f.controller_id"
    " WHERE :state = '' OR f.state = :state ORDER BY f.state = 'open' DESC, f.due, f.id"
)
