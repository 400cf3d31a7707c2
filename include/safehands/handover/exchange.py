"""Approval between two installations, by signed files that people carry.

The seller's *offer* says what is to be approved: digests of plan, request and agreement, and the
checkpoint of the seller's ledger. The buyer's *answer* names the offer by its digest and carries
the buyer's own checkpoint, so that afterwards neither can take back entries that the other has
seen (C2SP tlog-checkpoint). Both are documents that ``safehands verify`` checks offline; whose
key signed them stands in the agreement that people sign by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from safehands import journal
from safehands.certificates import certificate
from safehands.errors import HandoverRefused
from safehands.handover.approvals import Decision, decide
from safehands.handover.opening import known
from safehands.handover.pages import folder_of, keep
from safehands.handover.state import events
from safehands.installation import Installation
from safehands.ledger import Json, VerifierKey, body_digest, verify_document
from safehands.store import effects
from safehands.store.register import Owner
from safehands.vault.access import check_staff

__all__ = ["ANSWER", "OFFER", "accept_answer", "answer_offer", "make_offer"]

OFFER, ANSWER = "handover_offer", "handover_answer"


def make_offer(inst: Installation, handover_id: UUID, now: datetime) -> dict[str, Json]:
    """Return the signed offer of a hand-over whose plan was assessed; once, whenever asked for.

    Raises ``HandoverRefused`` before the assessment.
    """
    handover, asked = known(inst, handover_id)
    claim = effects.Claim(OFFER, str(handover_id), "", "")
    with inst.store.begin(controller=asked.seller.id) as connection:
        body = effects.find(connection, claim)
        if body is None:
            passed = {e["key"]: e["facts"] for e in events(connection, handover_id, "state")}
            if "assessed" not in passed:
                raise HandoverRefused("handover.not_next", state=handover.state, to="assessed")
            body = {
                "handover": str(handover_id),
                "seller": asked.seller.code,
                "mode": handover.mode,
                "stations": list(asked.request.stations),
                "closing": asked.request.effective_on.isoformat(),
                "buyer_approver": asked.request.buyer_approver,
                "request": handover.digest,
                "plan": passed["assessed"]["plan"],
                "agreement": asked.request.agreement,
                "checkpoint": journal.latest(connection) or "",
                "signer": str(journal.signing_key(inst.provider).verifier),
            }
            effects.make(connection, claim, body)
            facts = {"kind": "document", "key": "offer", "handover": str(handover_id)}
            run, digest = f"handover-{handover_id}", body_digest(OFFER, body)
            journal.append(connection, "handover", run, now, facts, document=digest)
    journal.sequence(inst.store, now)
    return certificate(inst.store, OFFER, body)


def answer_offer(
    inst: Installation,
    buyer: Owner,
    document: Mapping[str, Any],
    signer: VerifierKey,
    decision: Decision,
    by: str,
    day: date,
    now: datetime,
) -> dict[str, Json]:
    """Return the buyer's signed answer to an offer, in the buyer's installation.

    ``signer``: the seller's public key, as the agreement says. Raises ``LedgerBroken`` for another
    signature or a changed offer, ``HandoverRefused`` for anybody but the approver it names.
    """
    check_staff(by)
    found = verify_document(document, signer)
    offer: dict[str, Any] = dict(found.body)
    if found.kind != OFFER or offer.get("signer") != str(signer):
        raise HandoverRefused("handover.no_offer")
    if by != offer["buyer_approver"]:
        raise HandoverRefused("handover.not_approver", party="buyer")
    claim = effects.Claim(ANSWER, f"{offer['handover']}/{decision}/{day}", "", "")
    with inst.store.begin(controller=buyer.id) as connection:
        body = effects.find(connection, claim)
        if body is None:
            body = {
                "handover": offer["handover"],
                "offer": body_digest(OFFER, offer),
                "buyer": buyer.code,
                "decision": decision,
                "by": by,
                "on": day.isoformat(),
                "checkpoint": journal.latest(connection) or "",
                "seller_checkpoint": _digest(offer["checkpoint"]),
                "signer": str(journal.signing_key(inst.provider).verifier),
            }
            effects.make(connection, claim, body)
            facts = {"kind": "document", "key": "answer", "handover": offer["handover"]}
            run, digest = f"handover-{offer['handover']}", body_digest(ANSWER, body)
            journal.append(connection, "handover", run, now, facts, document=digest)
    journal.sequence(inst.store, now)
    return certificate(inst.store, ANSWER, body)


def accept_answer(
    inst: Installation,
    handover_id: UUID,
    document: Mapping[str, Any],
    signer: VerifierKey,
    day: date,
    now: datetime,
) -> bool:
    """Keep the buyer's answer as the buyer's decision, with the buyer's checkpoint.

    Return whether the hand-over is approved now. ``signer``: the buyer's public key, as the
    agreement says. Raises what :func:`decide` raises, ``LedgerBroken`` for another signature, and
    ``HandoverRefused`` for an answer to something else than what was offered.
    """
    found = verify_document(document, signer)
    body: dict[str, Any] = dict(found.body)
    _, asked = known(inst, handover_id)
    claim = effects.Claim(OFFER, str(handover_id), "", "")
    with inst.store.begin(controller=asked.seller.id) as connection:
        offer = effects.find(connection, claim)
    if (
        found.kind != ANSWER
        or offer is None
        or body.get("offer") != body_digest(OFFER, offer)
        or body.get("seller_checkpoint") != _digest(offer["checkpoint"])
        or body.get("signer") != str(signer)
        or date.fromisoformat(str(body["on"])) > day
    ):
        raise HandoverRefused("handover.other_answer")
    given: Decision = body["decision"]
    folder = folder_of(inst, handover_id)
    keep(folder / "checkpoint-buyer.txt", str(body["checkpoint"]).encode())
    signed = {
        "document": body_digest(ANSWER, body),
        "buyer": str(body["buyer"]),
        "checkpoint": _digest(str(body["checkpoint"])),
        "signer": str(signer),
    }
    on = date.fromisoformat(str(body["on"]))
    return decide(inst, handover_id, "buyer", given, str(body["by"]), on, now, signed, day)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
