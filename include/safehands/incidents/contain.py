"""Containment: proposed by kind, done only after somebody else approved it.

What the program can do, it does itself (``measures``). For what people do, the command is given,
and the doing is recorded with a reference; who approves is never who does (网络数据安全管理条例 11,
PIPL 57).
"""

from __future__ import annotations

from typing import Any

from safehands.errors import AccessRefused
from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import case, note
from safehands.incidents.drafts import figures
from safehands.incidents.measures import MEASURES
from safehands.incidents.tasks import CLOSING
from safehands.installation import Installation
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, check_staff

__all__ = ["contain", "event", "propose"]


def propose(
    inst: Installation, book: IncidentBook, owner: Owner, number: int, by: str
) -> list[str]:
    """Note and return the actions that policy proposes for the incident's kind."""
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        fitting = [name for name, one in book.actions.items() if found.kind in one.kinds]
        note(connection, owner, number, "proposed", by, inst.clock(), "", {"actions": fitting})
    return fitting


def contain(
    inst: Installation,
    book: IncidentBook,
    owner: Owner,
    number: int,
    action: str,
    by: str,
    approver: str,
    reference: str = "",
) -> dict[str, Any]:
    """Do ``action``, or record that people did it, with ``approver``'s word; return what was done.

    Killed in between, the same call does what is left. In a drill the event alone is noted: its
    store is thrown away, and roles and keys are the real ones.

    Raises ``AccessRefused`` for an unknown action, for the same person twice, for an action outside
    the program without a reference to how it was done, and what the measure itself raises.
    """
    check_staff(by)
    check_staff(approver)
    if action not in book.actions:
        raise AccessRefused("incident.unknown_action", known=", ".join(book.actions))
    if by.casefold() == approver.casefold():
        raise AccessRefused("incident.same_person")
    if not book.actions[action].itself and not reference.strip():
        raise AccessRefused("incident.no_reference", command=book.actions[action].command)
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
    if found.first("closed"):
        raise AccessRefused("incident.closed", number=number)
    done: dict[str, Any] = {}
    if book.actions[action].itself and not found.drill:
        done = MEASURES[action](inst, owner, found, by)
    facts = {**done, "approver": approver, "reference": reference}
    with inst.store.begin(OFFICER, owner.id) as connection:
        note(connection, owner, number, "done", by, inst.clock(), action, facts)
    return done


def event(inst: Installation, owner: Owner, number: int, kind: str, by: str, name: str) -> None:
    """Note that something was done about an incident, with a reference.

    An incident is closed only when it was assessed, contained, handled, summarised, and has a
    lesson and somebody responsible; a drill without the report and the people. Raises
    ``AccessRefused`` naming what is missing.
    """
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        if kind == "closed":
            done = {one.kind for one in found.events}
            missing = [one for one in CLOSING if one not in done]
            if missing and not found.drill:
                raise AccessRefused("incident.not_yet", missing=", ".join(missing))
        note(connection, owner, number, kind, by, inst.clock(), name)
    figures(inst, owner, number)
