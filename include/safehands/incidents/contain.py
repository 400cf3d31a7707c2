"""Containment: proposed by kind, done only after somebody else approved it.

``stop_disclosures`` (and its release) holds by itself: no disclosure is planned while it stands.
For the others the command to run is given, and the doing is recorded with a reference; who approves
is never who does (网络数据安全管理条例 11, PIPL 57).
"""

from __future__ import annotations

from safehands.errors import AccessRefused
from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import case, note
from safehands.incidents.drafts import figures
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
) -> None:
    """Do ``action``, or record that it was done, with ``approver``'s word.

    Raises ``AccessRefused`` for an unknown action, for the same person twice, and for an action
    outside the program without a reference to how it was done.
    """
    check_staff(approver)
    if action not in book.actions:
        raise AccessRefused("incident.unknown_action", known=", ".join(book.actions))
    if by.casefold() == approver.casefold():
        raise AccessRefused("incident.same_person")
    if not book.actions[action].itself and not reference.strip():
        raise AccessRefused("incident.no_reference", command=book.actions[action].command)
    now, facts = inst.clock(), {"approver": approver, "reference": reference}
    with inst.store.begin(OFFICER, owner.id) as connection:
        note(connection, owner, number, "done", by, now, action, facts)


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
            wanted = ["assessed", "contained", "handled", "summarised", "lesson", "responsible"]
            missing = [one for one in wanted if one not in done]
            if missing and not found.drill:
                raise AccessRefused("incident.not_yet", missing=", ".join(missing))
        note(connection, owner, number, kind, by, inst.clock(), name)
    figures(inst, owner, number)
