"""The receipt: counts and digests that the buyer signs, checked by the seller before it goes on."""

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
from safehands.store import Store, effects, lock
from safehands.store.register import Owner
from safehands.transfer.measured import of_receipt
from safehands.transfer.package import STEP
from safehands.transfer.receive import KIND, received
from safehands.transfer.reconcile import check_receipt_counts, held_by_class, totals

__all__ = ["accept_form", "accept_receipt", "reconcile", "sign_receipt"]


def sign_receipt(store: Store, buyer: Owner, handover: str, now: datetime) -> dict[str, Json]:
    """Return the buyer's signed receipt. It confirms counts and digests, nothing else."""
    journal.sequence(store, now)
    return certificate(store, KIND, received(store, buyer, handover))


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
    signature or a changed document, ``HandoverRefused`` for another package or other counts.
    """
    found = verify_document(document, signer)
    body: dict[str, Any] = dict(found.body)
    with store.begin(controller=seller.id) as connection:
        made = effects.find(connection, effects.Claim(STEP, str(handover), "", ""))
        if made is None or found.kind != KIND or body.get("package") != made["digest"]:
            raise HandoverRefused("transfer.other_receipt")
        check_receipt_counts(made["counts"], body["received"])
        packed = {**made, "digests": _digests(connection, handover)}
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


def accept_form(
    store: Store,
    seller: Owner,
    handover: UUID,
    counts: Mapping[str, int],
    document: str,
    by: str,
    now: datetime,
) -> None:
    """Take a receipt that was signed by hand: the counts on it, SHA-256 of its scan, who checked.

    Raises ``HandoverRefused`` for other counts than were packaged.
    """
    with store.begin(controller=seller.id) as connection:
        made = effects.find(connection, effects.Claim(STEP, str(handover), "", ""))
        if made is None:
            raise HandoverRefused("transfer.not_packaged")
        told = {table: {"new": count} for table, count in counts.items()}
        check_receipt_counts(made["counts"], told)
        differ = of_receipt(
            connection, seller, handover, made, {"received": told, "digests": {}}, now
        )
        evidence = {"receipt": f"by hand sha256:{document}", "received": told, "by": by}
        evidence |= {"counted": differ}
        state.advance(connection, handover, "received", evidence, now)


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
        made = effects.find(connection, effects.Claim(STEP, str(handover), "", ""))
        if made is None:
            raise HandoverRefused("transfer.not_packaged")
        done = [e for e in state.events(connection, handover, "state") if e["key"] == "reconciled"]
        if done:
            return dict(done[0]["facts"])
        classes = held_by_class(connection, handover, numbers)
        facts = {"held": totals(classes), "classes": classes, "gone": gone(made, classes)}
        state.advance(connection, handover, "reconciled", facts, now)
    return facts


def gone(made: Mapping[str, Any], classes: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return rows per table that were packaged and that the seller no longer holds.

    Raises ``HandoverRefused`` when there are more than were packaged: they came since.
    """
    left: dict[str, int] = {}
    for table, packed in (("subject", "person"), ("parcel",) * 2, ("custody",) * 2):
        now_held = classes[table].get("transferred", 0)
        left[table] = int(made["counts"][packed]) - now_held
        if left[table] < 0:
            raise HandoverRefused("transfer.came_since", table=table, rows=-left[table])
    return left
