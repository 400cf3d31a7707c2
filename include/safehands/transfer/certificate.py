"""The end of a hand-over: what is proved erased, and what people declare by hand, apart.

Proved is what the erasure's own certificate proves (epoch key destroyed, a backup restored without
it). No program sees the station's software, downloads, phones, chat groups, paper, CCTV or the
computer that is sold with the shop: for each of these somebody says by name and on a day what was
done. The certificate never mixes the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from safehands import journal
from safehands.certificates import certificate
from safehands.erasure import list_requests
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.ledger import Json, body_digest
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.transfer.cutover import request_of
from safehands.transfer.evidence_bundle import bundle_of
from safehands.transfer.revocation import revoked

__all__ = ["BY_HAND", "KIND", "Declaration", "certify"]

KIND = "handover"

BY_HAND = (
    "station_software",
    "downloads",
    "phones",
    "chat_groups",
    "paper",
    "cctv",
    "computer_sold",
    "staff_access",
)
"""What no program sees; each is declared, or nothing is certified."""


@dataclass(frozen=True)
class Declaration:
    """What somebody says was done: staff id, day; ``erased``, ``returned``, ``none``, ``kept``."""

    by: str
    on: date
    done: str


def certify(
    store: Store,
    seller: Owner,
    handover: UUID,
    declared: Mapping[str, Declaration],
    now: datetime,
) -> dict[str, Json]:
    """Return the signed certificate and take the hand-over to ``certified``; once.

    Raises ``HandoverRefused`` before the erasure is final, without the evidence bundle, when
    something of :data:`BY_HAND` is not declared, or staff access was not revoked with evidence.
    Where only shares change hands nothing was moved, erased or revoked, and it says so.
    """
    with store.begin(controller=seller.id) as connection:
        mode = state.load(connection, handover).mode
    if mode == "share_deal":
        return _unmoved(store, seller, handover, now)
    missing = [what for what in BY_HAND if what not in declared]
    if missing:
        raise HandoverRefused("transfer.undeclared", count=len(missing), what=", ".join(missing))
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        passed = {e["key"]: e["facts"] for e in state.events(connection, handover, "state")}
        body = passed.get("certified")
        if body is None:
            body = _body(store, seller, handover, declared, passed)
            body |= {"revoked": revoked(connection, handover)}
            bundle = bundle_of(connection, handover)
            if bundle is None:
                raise HandoverRefused("transfer.no_bundle")
            body |= {"evidence_bundle": {**asdict(bundle), "keys": list(bundle.keys)}}
            state.advance(connection, handover, "certified", body, now)
            facts = {"handover": str(handover), "controller": seller.code}
            run = f"handover-{handover}"
            journal.append(connection, "certify", run, now, facts, body_digest(KIND, body))
    journal.sequence(store, now)
    return certificate(store, KIND, body)


def _unmoved(store: Store, seller: Owner, handover: UUID, now: datetime) -> dict[str, Json]:
    """Certify that the handler stays who it is: notices changed, no record did (PIPL 17 ¶2)."""
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        passed = {e["key"]: e["facts"] for e in state.events(connection, handover, "state")}
        body = passed.get("certified")
        if body is None:
            body = {
                "handover": str(handover),
                "seller": seller.code,
                "moved": 0,
                "erased": 0,
                "noticed": body_digest(KIND, passed.get("noticed", {})),
                "approved": body_digest(KIND, passed.get("approved", {})),
            }
            state.advance(connection, handover, "certified", body, now)
            facts = {"handover": str(handover), "controller": seller.code}
            run = f"handover-{handover}"
            journal.append(connection, "certify", run, now, facts, body_digest(KIND, body))
    journal.sequence(store, now)
    return certificate(store, KIND, body)


def _body(
    store: Store,
    seller: Owner,
    handover: UUID,
    declared: Mapping[str, Declaration],
    passed: Mapping[str, Any],
) -> dict[str, Any]:
    found = list_requests(store, [seller], request_of(handover))
    if not found or found[0].state != "final" or found[0].certificate is None:
        raise HandoverRefused("transfer.not_final")
    cut, proof = passed["cut_over"], found[0].certificate
    return {
        "handover": str(handover),
        "seller": seller.code,
        "proved": {
            "request": found[0].request,
            "people": cut["erased"],
            "rows": cut["rows"],
            "rows_alone": cut["rows_alone"],
            "certificate": body_digest("erasure", proof),
            "epoch": proof["epoch"],
            "not_reached": proof["not_reached"],
        },
        "declared": {
            what: {"by": one.by, "on": one.on.isoformat(), "done": one.done}
            for what, one in sorted(declared.items())
        },
        "kept": {
            "restricted": cut["restricted"],
            "until": cut["kept_until"],
            "left": cut["left"],
        },
        "settled_parcels": cut["settled_parcels"],
        "identity": cut["held_before"],
        "package": passed.get("packaged", {}).get("package", ""),
        "receipt": passed.get("received", {}).get("receipt", ""),
    }
