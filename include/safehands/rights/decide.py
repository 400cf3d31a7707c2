"""The officer's decision: yes, or no with a reason that the person is told (PIPL 50)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text

from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.rights.book import RightsBook
from safehands.rights.requests import find, step
from safehands.store.register import owners
from safehands.vault.access import OFFICER, check_staff

__all__ = ["decide"]


def decide(
    inst: Installation,
    book: RightsBook,
    request: str,
    by: str,
    now: datetime,
    *,
    grant: bool,
    reason: str = "",
    conditions: Collection[str] = (),
) -> None:
    """Record the decision. The same decision again changes nothing.

    A request is granted only after the identity check, a copy only with all four conditions of
    portability; it is refused only with a reason of policy.

    Raises ``AccessRefused`` where one of these is missing, and for a request that was decided
    otherwise.
    """
    check_staff(by)
    found = find(inst.store, request)
    wanted = "granted" if grant else "refused"
    if found.state == wanted or (grant and found.state == "done"):
        return
    if found.state not in ("registered", "identified") or (grant and found.state == "registered"):
        raise AccessRefused("rights.wrong_state", request=request, state=found.state)
    if not grant and reason not in book.refusals:
        raise AccessRefused("rights.no_reason", known=", ".join(book.refusals))
    if set(conditions) - book.conditions.keys() or (
        grant and found.kind == "copy" and set(conditions) != book.conditions.keys()
    ):
        raise AccessRefused("rights.conditions", known=", ".join(book.conditions))
    owner = owners(inst.store)[found.controller]
    with inst.store.begin(OFFICER, owner.id) as connection:
        values = {
            "id": request,
            "state": wanted,
            "reason": "" if grant else reason,
            "conditions": ",".join(sorted(conditions)),
            "by": by,
            "at": now,
        }
        if connection.execute(text(_DECIDE), values).rowcount:
            step(connection, owner, request, wanted, by, now, reason=values["reason"])


_DECIDE = (
    "UPDATE subject_request SET state = :state, reason = :reason, conditions = :conditions,"
    " decided_by = :by, decided_at = :at, code = NULL WHERE request = :id"
    " AND state IN ('registered', 'identified')"
)
