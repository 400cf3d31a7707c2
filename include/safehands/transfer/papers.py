"""Papers that a step waits for: SHA-256, day and who brought it; the file itself stays outside.

A request may name them at once; what comes later is an event of the hand-over. No step goes on
without its paper: nothing is packaged before evidence of closing, and what is entrusted is deleted
only when the courier or platform has confirmed in writing that it supplies afresh (PIPL 21 ¶2).
That the poster hangs (a photograph's digest) is what everybody counts as told by.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Connection

from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.night import SHANGHAI
from safehands.store import Store
from safehands.store.register import Owner
from safehands.vault.access import check_staff

__all__ = ["DIGEST", "PAPERS", "Paper", "bring", "paper", "require"]

Paper = Literal["closing_evidence", "handler_confirmation", "poster_hung"]
PAPERS: tuple[Paper, ...] = get_args(Paper)
DIGEST = re.compile(r"[0-9a-f]{64}")


def bring(
    store: Store,
    seller: Owner,
    handover: UUID,
    what: Paper,
    sha256: str,
    on: date,
    by: str,
    now: datetime,
) -> bool:
    """Keep that a paper was brought; return whether it is new.

    Raises ``HandoverRefused`` for a digest that is none, for a day that has not come yet, and for
    another paper of the same kind.
    """
    check_staff(by)
    if on > now.astimezone(SHANGHAI).date():
        raise HandoverRefused("transfer.paper_later", what=what, day=on.isoformat())
    if not DIGEST.fullmatch(sha256):
        raise HandoverRefused("transfer.no_digest", what=what)
    facts = {"sha256": sha256, "on": on.isoformat(), "by": by}
    with store.begin(controller=seller.id) as connection:
        return state.note(connection, handover, "paper", what, facts, now)


def paper(connection: Connection, known: state.Handover, what: Paper) -> str | None:
    """Return the digest of a paper that was brought or that the request names."""
    for event in state.events(connection, known.id, "paper"):
        if event["key"] == what:
            return str(event["facts"]["sha256"])
    named: Any = known.request.get(what)
    return str(named) if named else None


def require(connection: Connection, known: state.Handover, what: Paper) -> str:
    """Return a paper's digest. Raises ``HandoverRefused`` while it is missing."""
    found = paper(connection, known, what)
    if found is None:
        raise HandoverRefused(f"transfer.waits.{what}")
    return found
