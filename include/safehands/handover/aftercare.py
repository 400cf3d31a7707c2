"""After the cut-over: requests that still reach the seller, and purposes that the buyer adds.

Who moved and asks the old owner is not sent away: the request goes on, sealed to the buyer's key,
and is counted (民法典 509, 558; PIPL 50). What the seller keeps of it is kind, day and digest; the
number is in the sealed file alone. A purpose that the hand-over did not carry needs a consent of
its own before anything is done for it (PIPL 14, 22, 23).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from safehands import erasure, journal
from safehands.errors import HandoverRefused
from safehands.handover.opening import known
from safehands.handover.pages import folder_of, keep
from safehands.handover.state import events, note
from safehands.handover.transferpolicy import load_transfer_policy
from safehands.installation import Installation
from safehands.keys import age
from safehands.notices import current
from safehands.rights.book import load_rights_book
from safehands.rights.requests import register
from safehands.store.register import Owner
from safehands.vault.access import check_staff

__all__ = ["FORMAT", "Forwarded", "added_purposes", "forward", "forwarded", "take_forwarded"]

FORMAT = "safehands-forwarded-request/1"
_PASSED = ("cut_over", "certified")


@dataclass(frozen=True)
class Forwarded:
    """A request that was passed on: its number in this hand-over, the sealed file, its digest."""

    number: int
    path: Path
    digest: str
    late: bool


def forward(
    inst: Installation, handover_id: UUID, kind: str, phone: str, by: str, day: date, now: datetime
) -> Forwarded:
    """Seal a request to the buyer's key and count it; ``phone``: as typed, kept nowhere else.

    ``late``: it came after the days for which policy promises this; it is passed on all the same.
    Raises ``HandoverRefused`` before the cut-over, for a kind that is no right, and where the
    buyer gave no key; ``PolicyError`` for what is no mobile number.
    """
    check_staff(by)
    phone = erasure.canonical_number(phone)
    handover, asked = known(inst, handover_id)
    book = load_rights_book(inst.settings.policy)
    if handover.state not in _PASSED or handover.mode == "closure":
        raise HandoverRefused("handover.nobody_to_forward", state=handover.state)
    if kind not in book.kinds:
        raise HandoverRefused("handover.no_such_right", kinds=", ".join(sorted(book.kinds)))
    if not asked.request.buyer_key:
        raise HandoverRefused("handover.no_buyer_key")
    with inst.store.begin(controller=asked.seller.id) as connection:
        before = forwarded(connection, handover_id)
        cut = _cut_on(connection, handover_id)
    number = len(before) + 1
    said = {"format": FORMAT, "handover": str(handover_id), "kind": kind, "phone": phone}
    plain = json.dumps({**said, "received_on": day.isoformat()}).encode()
    sealed = age.encrypt(plain, [asked.request.buyer_key])
    digest = hashlib.sha256(sealed).hexdigest()
    late = day > cut + timedelta(days=load_transfer_policy(inst.settings.policy).forward_days)
    path = keep(folder_of(inst, handover_id) / f"forwarded-{number}.age", sealed)
    facts = {"kind": kind, "day": day.isoformat(), "sha256": digest, "by": by, "late": late}
    with inst.store.begin(controller=asked.seller.id) as connection:
        note(connection, handover_id, "forwarded", str(number), facts, now)
    journal.sequence(inst.store, now)
    return Forwarded(number, path, digest, late)


def forwarded(connection: Connection, handover_id: UUID) -> list[dict[str, Any]]:
    """Return what was passed on, oldest first: kind, day, digest; never whose it was."""
    return [dict(one["facts"]) for one in events(connection, handover_id, "forwarded")]


def take_forwarded(
    inst: Installation, buyer: Owner, sealed: bytes, by: str, now: datetime, random: bytes
) -> str:
    """Open a forwarded request at the buyer and register it there; return its id.

    The same file again is the same request. Raises ``KeyProblem`` for another recipient's file,
    ``HandoverRefused`` for a file that is none and a number that leads to nobody.
    """
    plain = age.decrypt(sealed, age.identity(inst.provider, f"transfer-identity/{buyer.code}"))
    try:
        said: dict[str, Any] = json.loads(plain)
    except ValueError:
        said = {}
    if said.get("format") != FORMAT:
        raise HandoverRefused("handover.no_forwarded")
    found, _ = erasure.find_subjects(inst.store, buyer, str(said["phone"]))
    if not found:
        raise HandoverRefused("handover.forwarded_nobody")
    book = load_rights_book(inst.settings.policy)
    request, _ = register(
        *(inst.store, book, buyer.code, str(said["kind"]), found[0], by, now, random),
        channel="forwarded",
    )
    return request


def added_purposes(inst: Installation, handover_id: UUID, buyer: Owner, day: date) -> list[str]:
    """Return purposes of the buyer's notice in force that the hand-over did not carry.

    For each of them whoever came with the hand-over is asked afresh; no answer given to the seller
    counts for it.
    """
    _, asked = known(inst, handover_id)
    with inst.store.begin(controller=buyer.id) as connection:
        notice = current(connection, buyer.id, day)
    told = {one["id"] for one in notice.document["purposes"]} if notice else set()
    needed = {name for name in told if name in inst.policy.consent_purposes}
    return sorted(needed - set(asked.request.buyer_purposes) - {"handover"})


def _cut_on(connection: Connection, handover_id: UUID) -> date:
    for event in events(connection, handover_id, "state"):
        if event["key"] == "cut_over":
            at: datetime = event["at"]
            return at.date()
    raise HandoverRefused("handover.nobody_to_forward", state="-")
