"""Staff access at the end: a checklist with evidence, one line per account.

A file says what each account was for, who ended it on which day, and names its evidence (SHA-256 of
a screenshot, a letter, a key receipt). Accounts are named by staff id or by what they open, never
by a phone number (PIPL 51(4)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, field_validator
from sqlalchemy import Connection

from safehands.datasets import names_a_person, safe_name
from safehands.errors import HandoverRefused, PolicyError
from safehands.handover import state
from safehands.ledger import canonical_json
from safehands.organisation.files import Frozen, checked, read_yaml
from safehands.store import Store
from safehands.store.register import Owner

__all__ = ["OPENS", "Access", "Checklist", "load_checklist", "revoke", "revoked"]

Opens = Literal[
    "station_software", "courier_app", "safehands", "sms_gateway", "cctv", "network", "premises"
]
OPENS: tuple[Opens, ...] = (
    "station_software",
    "courier_app",
    "safehands",
    "sms_gateway",
    "cctv",
    "network",
    "premises",
)
"""What staff can open at a station; each is revoked, or said not to exist."""


class Access(Frozen):
    """One account: what it opens, whose it was (staff id), who ended it, which day, the evidence.

    ``done``: ``revoked``, or ``none`` where there is no such account; then no evidence is asked.
    """

    opens: Opens
    account: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._@-]{0,63}$")]
    done: Literal["revoked", "none"]
    by: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._@-]{1,63}$")]
    day: date
    evidence: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @field_validator("account", "by")
    @classmethod
    def _no_number(cls, value: str) -> str:
        if names_a_person(value):
            raise ValueError("a staff id, no personal number")
        return value


class Checklist(Frozen):
    """The file: every account, one line each."""

    accounts: tuple[Access, ...]


def load_checklist(path: Path) -> Checklist:
    """Read a checklist (YAML, ``version: 1``).

    Raises ``HandoverRefused`` naming the field, never its content, and for something of
    :data:`OPENS` that has no line or a revoked account without evidence.
    """
    try:
        made = checked(Checklist, read_yaml(path), path.name, "accounts")
    except PolicyError as error:
        file = safe_name(path.name)
        if "where" not in error.params:
            raise HandoverRefused("transfer.checklist_file", file=file) from None
        where, why = (str(error.params[name]) for name in ("where", "why"))
        raise HandoverRefused("transfer.checklist_line", file=file, where=where, why=why) from None
    _check(made.accounts)
    return made


def revoke(
    store: Store, seller: Owner, handover: UUID, given: Checklist, now: datetime
) -> dict[str, int]:
    """Keep the checklist; return how many accounts were revoked, per what they opened."""
    _check(given.accounts)
    lines = [one.model_dump(mode="json") for one in given.accounts]
    counts: dict[str, int] = {
        what: sum(1 for one in given.accounts if one.opens == what and one.done == "revoked")
        for what in OPENS
    }
    facts = {
        "accounts": counts,
        "checklist": hashlib.sha256(canonical_json(lines)).hexdigest(),
        "lines": lines,
    }
    with store.begin(controller=seller.id) as connection:
        state.note(connection, handover, "revocation", "staff_access", facts, now)
    return counts


def revoked(connection: Connection, handover: UUID) -> dict[str, Any]:
    """Return counts and digest of the checklist. Raises ``HandoverRefused`` while it is missing."""
    for event in state.events(connection, handover, "revocation"):
        return {name: event["facts"][name] for name in ("accounts", "checklist")}
    raise HandoverRefused("transfer.not_revoked")


def _check(accounts: Sequence[Access]) -> None:
    missing = [what for what in OPENS if all(one.opens != what for one in accounts)]
    if missing:
        raise HandoverRefused("transfer.access_missing", what=", ".join(missing))
    bare = sum(1 for one in accounts if one.done == "revoked" and not one.evidence)
    if bare:
        raise HandoverRefused("transfer.access_unproved", count=bare)
