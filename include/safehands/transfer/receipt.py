"""What the buyer signs, checked by the seller: receipts of package and deltas, a deletion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from safehands import journal
from safehands.certificates import certificate
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.ledger import Json, VerifierKey, body_digest, verify_document
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.transfer.contents import GONE
from safehands.transfer.form import Filled
from safehands.transfer.measured import of_receipt
from safehands.transfer.order import check_signer
from safehands.transfer.package import packaged
from safehands.transfer.receive import KIND, received
from safehands.transfer.receive_delta import DELETION, deleted, delta_received
from safehands.transfer.reconcile import check_receipt_counts, held_by_class, totals
from safehands.transfer.standing import deltas, gone, moved, unanswered
from safehands.vault.access import check_staff

__all__ = [
    "accept_deletion",
    "accept_delta",
    "accept_form",
    "accept_receipt",
    "by_hand",
    "reconcile",
    "sign_deletion",
    "sign_delta",
    "sign_receipt",
]

BY_HAND = "by hand"
"""How evidence of a receipt begins that is a form."""


def sign_receipt(store: Store, buyer: Owner, handover: str, now: datetime) -> dict[str, Json]:
    """Return the buyer's signed receipt. It confirms counts and digests, nothing else."""
    return _signed(store, KIND, received(store, buyer, handover), now)


def sign_delta(
    store: Store, buyer: Owner, handover: str, number: int, now: datetime
) -> dict[str, Json]:
    """Return the buyer's signed receipt of a delta."""
    return _signed(store, KIND, delta_received(store, buyer, handover, number), now)


def sign_deletion(store: Store, buyer: Owner, handover: str, now: datetime) -> dict[str, Json]:
    """Return what a buyer signs who had received a hand-over that was given up."""
    return _signed(store, DELETION, deleted(store, buyer, handover), now)


def _signed(store: Store, kind: str, body: Mapping[str, Any], now: datetime) -> dict[str, Json]:
    journal.sequence(store, now)
    return certificate(store, kind, body)


def accept_receipt(
    store: Store,
    seller: Owner,
    handover: UUID,
    document: Mapping[str, Any],
    signer: VerifierKey,
    now: datetime,
) -> dict[str, Any]:
    """Check a receipt against what was packaged and take the hand-over to ``received``.

    ``signer``: the buyer's public key, as the agreement says. Raises ``LedgerBroken`` for another
    signature or a changed document, ``HandoverRefused`` for another package or other counts, and
    for another key than the buyer's approval came with.
    """
    body = _verified(document, signer, KIND)
    with store.begin(controller=seller.id) as connection:
        check_signer(connection, handover, signer)
        made = packaged(connection, handover)
        if made is None or body.get("package") != made.digest:
            raise HandoverRefused("transfer.other_receipt")
        check_receipt_counts(made.counts, body["received"])
        packed = {"counts": made.counts, "digests": _digests(connection, handover)}
        differ = of_receipt(connection, seller, handover, packed, body, now)
        evidence = {"receipt": body_digest(KIND, body), "received": body["received"]}
        evidence |= {"counted": differ}
        state.advance(connection, handover, "received", evidence, now)
    return body


def _digests(connection: Connection, handover: UUID) -> dict[str, str]:
    """Return the digests of the tables as they were packaged."""
    passed = state.events(connection, handover, "state")
    found = [one["facts"] for one in passed if one["key"] == "packaged"]
    return dict(found[0].get("digests", {})) if found else {}


def accept_delta(
    store: Store,
    seller: Owner,
    handover: UUID,
    document: Mapping[str, Any],
    signer: VerifierKey,
    now: datetime,
) -> dict[str, Any]:
    """Check a delta's receipt against the delta and keep it. Raises as ``accept_receipt``."""
    body = _verified(document, signer, KIND)
    with store.begin(controller=seller.id) as connection:
        check_signer(connection, handover, signer)
        made = {one["key"]: one["facts"] for one in state.events(connection, handover, "delta")}
        number = str(body.get("number", ""))
        if number not in made or body.get("package") != made[number]["digest"]:
            raise HandoverRefused("transfer.other_receipt")
        check_receipt_counts(made[number]["counts"], body["received"])
        facts = {"receipt": body_digest(KIND, body), "received": body["received"]}
        facts |= {"removed": body["removed"]}
        state.note(connection, handover, "delta_receipt", number, facts, now)
    return body


def accept_deletion(
    store: Store,
    seller: Owner,
    handover: UUID,
    document: Mapping[str, Any],
    signer: VerifierKey,
    now: datetime,
) -> dict[str, Any]:
    """Keep the buyer's signed deletion after an abort; closes what the buyer owed.

    Raises ``LedgerBroken`` as above, ``HandoverRefused`` for another package, and while the
    hand-over is not aborted.
    """
    body = _verified(document, signer, DELETION)
    with store.begin(controller=seller.id) as connection:
        check_signer(connection, handover, signer)
        made = packaged(connection, handover)
        if made is None or body.get("package") != made.digest:
            raise HandoverRefused("transfer.other_receipt")
        if state.load(connection, handover).state != "aborted":
            raise HandoverRefused("transfer.not_aborted")
        facts = {"deletion": body_digest(DELETION, body), "removed": body["removed"]}
        state.note(connection, handover, "document", "deletion", facts, now)
    return body


def _verified(document: Mapping[str, Any], signer: VerifierKey, kind: str) -> dict[str, Any]:
    found = verify_document(document, signer)
    if found.kind != kind:
        raise HandoverRefused("transfer.other_receipt")
    return dict(found.body)


def accept_form(
    store: Store, seller: Owner, handover: UUID, form: Filled, by: str, now: datetime
) -> None:
    """Take a receipt form that was filled in and signed by hand; ``by``: who checked it.

    Of the package, or of a delta by its number. Raises ``HandoverRefused`` for another hand-over's
    form, or other counts than were sent.
    """
    check_staff(by)
    with store.begin(controller=seller.id) as connection:
        made = packaged(connection, handover)
        if made is None:
            raise HandoverRefused("transfer.not_packaged")
        if form.number:
            _delta_by_hand(connection, handover, form, by, now)
            return
        told = {table: {"new": count} for table, count in form.counts.items()}
        if (form.handover, form.root) != (str(handover), made.root):
            raise HandoverRefused("transfer.other_receipt")
        check_receipt_counts(made.counts, told)
        said = {"received": told, "digests": {}}
        differ = of_receipt(connection, seller, handover, {"counts": made.counts}, said, now)
        evidence = {"receipt": f"{BY_HAND} sha256:{form.digest}", "received": told, "by": by}
        evidence |= {"counted": differ}
        state.advance(connection, handover, "received", evidence, now)


def _delta_by_hand(
    connection: Connection, handover: UUID, form: Filled, by: str, now: datetime
) -> None:
    known = {one["number"]: one for one in deltas(connection, handover)}
    sent = known.get(form.number, {})
    if (form.handover, form.root) != (str(handover), sent.get("root")):
        raise HandoverRefused("transfer.other_receipt")
    told = {table: {"new": count} for table, count in form.counts.items()}
    check_receipt_counts({**sent["counts"], GONE: sum(sent["gone"].values())}, told)
    facts = {"receipt": f"{BY_HAND} sha256:{form.digest}", "received": told, "by": by}
    facts |= {"removed": {GONE: form.counts[GONE]}}
    state.note(connection, handover, "delta_receipt", str(form.number), facts, now)


def by_hand(connection: Connection, handover: UUID) -> bool:
    """Say whether the buyer's receipt of the package was a form: it has no Safehands."""
    passed = state.events(connection, handover, "state")
    found = [one["facts"] for one in passed if one["key"] == "received"]
    return bool(found) and str(found[0].get("receipt", "")).startswith(BY_HAND)


def reconcile(
    store: Store, seller: Owner, handover: UUID, stations: tuple[str, ...], now: datetime
) -> dict[str, Any]:
    """Print the identity to the row and take the hand-over to ``reconciled``.

    What moved is compared with what the seller holds now: ``gone`` was erased or purged since.
    Returns ``held``, ``classes`` and ``gone``. Raises ``HandoverRefused`` when the sums differ or
    rows came after the package.
    """
    numbers = [seller.stations[code] for code in stations]
    with store.begin(controller=seller.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        sent = moved(connection, handover)
        if sent is None:
            raise HandoverRefused("transfer.not_packaged")
        waiting = unanswered(connection, handover)
        if waiting:
            raise HandoverRefused("transfer.delta_unanswered", number=waiting[0])
        done = [e for e in state.events(connection, handover, "state") if e["key"] == "reconciled"]
        if done:
            return dict(done[0]["facts"])
        classes = held_by_class(connection, handover, numbers)
        facts = {"held": totals(classes), "classes": classes, "gone": gone(sent, classes)}
        state.advance(connection, handover, "reconciled", facts, now)
    return facts
