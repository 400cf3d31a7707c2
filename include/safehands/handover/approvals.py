"""Two different people approve, each for one party; rules that block cannot be approved away.

Decisions are events that only grow: the last one of a party counts, until it lapses. At approval
the ledger's checkpoint is kept, so that both parties hold what the other cannot rewrite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from safehands import gates, journal
from safehands.errors import HandoverRefused
from safehands.handover.opening import Asked, known
from safehands.handover.pages import folder_of, keep, page
from safehands.handover.plan import gate, measure
from safehands.handover.state import advance, events, following, load, note
from safehands.handover.transferpolicy import load_transfer_policy
from safehands.installation import Installation
from safehands.messages import LANGUAGES, say
from safehands.vault.access import check_staff

__all__ = [
    "Decision",
    "Party",
    "approve_due",
    "buyers_answer",
    "check_standing",
    "check_still",
    "decide",
    "decisions",
    "needed",
    "sheet",
]

Party = Literal["seller", "buyer"]
Decision = Literal["approve", "refuse", "withdraw"]


def needed(asked: Asked) -> tuple[Party, ...]:
    """Return who has to approve: both; a closure has a seller alone."""
    return ("seller", "buyer") if asked.request.buyer_approver else ("seller",)


def decide(
    inst: Installation,
    handover_id: UUID,
    party: Party,
    decision: Decision,
    by: str,
    day: date,
    now: datetime,
    signed: Mapping[str, str] | None = None,
    today: date | None = None,
) -> bool:
    """Keep a decision, and go to ``approved`` when everybody has approved and no rule blocks.

    ``signed`` says of a decision from another installation which document, checkpoint and key it
    came with, and what the buyer is called there; it was made on ``day`` and read on ``today``.

    Return whether the hand-over is approved now. Raises ``HandoverRefused`` for anybody but the
    approver named in the request, before it is due and once something was packaged, ``GateClosed``
    while a rule blocks; the approval itself is kept. Taken back after both approved, it stops the
    package until it is given again (:func:`check_standing`).
    """
    check_staff(by)
    handover, asked = known(inst, handover_id)
    request = asked.request
    named = request.seller_approver if party == "seller" else request.buyer_approver
    if by != named:
        raise HandoverRefused("handover.not_approver", party=party)
    if handover.state != "approved" and following(handover.mode, handover.state) != "approved":
        raise HandoverRefused("handover.not_next", state=handover.state, to="approved")
    with inst.store.begin(controller=asked.seller.id) as connection:
        load(connection, handover_id, lock=True)
        before = events(connection, handover_id, "approval")
        mine = [one["facts"] for one in before if one["facts"]["party"] == party]
        facts = {"party": party, "decision": decision, "by": by, "day": day.isoformat()}
        facts |= dict(signed or {})
        if not mine or any(mine[-1].get(name) != said for name, said in facts.items()):
            facts["plan"] = _assessed(connection, handover_id)
            note(connection, handover_id, "approval", f"{party}/{len(mine) + 1}", facts, now)
    journal.sequence(inst.store, now)
    if signed and handover.state == "approved":
        # The sheet names the key that the buyer's documents are signed with.
        keep(folder_of(inst, handover_id) / "agreement-sheet.html", sheet(inst, asked))
    return approve_due(inst, handover_id, today or day, now) and decision == "approve"


def check_standing(connection: Connection, handover_id: UUID) -> None:
    """Raise ``HandoverRefused`` when a party took its approval back; for what comes after it."""
    last = {
        one["facts"]["party"]: one["facts"]["decision"]
        for one in events(connection, handover_id, "approval")
    }
    for party, decision in sorted(last.items()):
        if decision != "approve":
            raise HandoverRefused("handover.taken_back", party=party)


def check_still(inst: Installation, handover_id: UUID, day: date) -> None:
    """Raise unless what was approved still holds on ``day``: for what opens records for a buyer.

    Raises ``HandoverRefused`` when an approval was taken back or has lapsed, ``GateClosed`` when a
    rule that blocks has turned since: closing waits while one is red (LAW.md (c)).
    """
    _, asked = known(inst, handover_id)
    with inst.store.begin() as connection:
        check_standing(connection, handover_id)
    standing = decisions(inst, handover_id, day)
    for party in needed(asked):
        if party not in standing:
            days = load_transfer_policy(inst.settings.policy).approval_days
            raise HandoverRefused("handover.lapsed", party=party, days=days)
    measure(inst, asked, day)
    gates.require(gate(inst, asked, day))


def buyers_answer(connection: Connection, handover_id: UUID) -> dict[str, str]:
    """Return ``buyer`` and ``signer`` of the buyer's signed approval from elsewhere, else nothing.

    ``buyer``: the owner's code there; ``signer``: the key that the answer was signed with.
    """
    signed = [
        one["facts"]
        for one in events(connection, handover_id, "approval")
        if one["facts"]["party"] == "buyer" and one["facts"].get("signer")
    ]
    if not signed or signed[-1]["decision"] != "approve":
        return {}
    return {name: str(signed[-1].get(name, "")) for name in ("buyer", "signer")}


def approve_due(inst: Installation, handover_id: UUID, day: date, now: datetime) -> bool:
    """Go to ``approved`` when all approvals stand. Raises ``GateClosed`` while a rule blocks."""
    handover, asked = known(inst, handover_id)
    if handover.state == "approved":
        return True
    if following(handover.mode, handover.state) != "approved":
        return False
    standing = decisions(inst, handover_id, day)
    if any(standing.get(party, {}).get("decision") != "approve" for party in needed(asked)):
        return False
    if len({one["by"] for one in standing.values()}) != len(standing):
        raise HandoverRefused("handover.one_person")
    # Counted on the day itself: people were erased, purged or answered since the window ended.
    measure(inst, asked, day)
    gates.require(gate(inst, asked, day))
    keep(folder_of(inst, handover_id) / "agreement-sheet.html", sheet(inst, asked))
    with inst.store.begin(controller=asked.seller.id) as connection:
        checkpoint = journal.latest(connection) or ""
        keep(folder_of(inst, handover_id) / "checkpoint.txt", checkpoint.encode())
        evidence = {
            "approvals": {party: one["by"] for party, one in standing.items()},
            "checkpoint": hashlib.sha256(checkpoint.encode()).hexdigest(),
            "gate": "open",
        }
        advance(connection, handover_id, "approved", evidence, now)
    journal.sequence(inst.store, now)
    return True


def decisions(inst: Installation, handover_id: UUID, day: date) -> dict[str, dict[str, Any]]:
    """Return each party's last decision that has not lapsed by ``day``."""
    rules = load_transfer_policy(inst.settings.policy)
    since = day - timedelta(days=rules.approval_days)
    with inst.store.begin() as connection:
        found = {
            one["facts"]["party"]: one["facts"]
            for one in events(connection, handover_id, "approval")
        }
    return {
        party: facts for party, facts in found.items() if date.fromisoformat(facts["day"]) >= since
    }


def sheet(inst: Installation, asked: Asked) -> bytes:
    """Return the page that both sign by hand: fingerprints of keys, digests, what is agreed."""
    request = asked.request
    key = str(journal.signing_key(inst.store.provider).verifier)
    with inst.store.begin(controller=asked.seller.id) as connection:
        ours = journal.latest(connection) or ""
        plan = _assessed(connection, asked.id) or "–"
        said = [e["facts"].get("signer", "") for e in events(connection, asked.id, "approval")]
    # A buyer who is here signs with this ledger's key; one elsewhere with whatever came signed.
    theirs = next((one for one in reversed(said) if one), key if request.buyer else "–")
    parts: dict[str, list[dict[str, Any]]] = {}
    for lang in LANGUAGES:
        rows = [
            [say("handover.sheet.handover", lang), str(asked.id)],
            [say("handover.sheet.mode", lang), say(f"handover.mode.{asked.mode}", lang)],
            [say("handover.sheet.request", lang), request.digest],
            [say("handover.sheet.agreement", lang), request.agreement or "–"],
            [say("handover.sheet.ledger_key", lang), key],
            [say("handover.sheet.buyer_key", lang), request.buyer_key or "–"],
            [say("handover.sheet.buyer_ledger", lang), theirs],
            [say("handover.sheet.checkpoint", lang), hashlib.sha256(ours.encode()).hexdigest()],
            [say("handover.sheet.plan", lang), plan],
        ]
        sign = [
            say(f"handover.sheet.sign.{party}", lang, who=who)
            for party, who in (
                ("seller", request.seller_approver),
                ("buyer", request.buyer_approver or "–"),
            )
        ]
        parts[lang] = [{"rows": rows}, {"sign": sign}]
    return page("handover.page.sheet", parts, stations=", ".join(request.stations))


def _assessed(connection: Connection, handover_id: UUID) -> str:
    found = [
        one["facts"].get("plan", "")
        for one in events(connection, handover_id, "state")
        if one["key"] == "assessed"
    ]
    return str(found[0]) if found else ""
