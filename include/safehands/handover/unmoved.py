"""The end of a hand-over in which nothing moves: the handler stays, only what people read changes.

In a share deal nothing is packaged, re-keyed or erased (PIPL 17 ¶2). Its certificate says so with
counts: what the seller held on the day of the approval and holds still.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.certificates import certificate
from safehands.errors import HandoverRefused
from safehands.handover.opening import known, people
from safehands.handover.state import advance, events
from safehands.installation import Installation
from safehands.ledger import Json, body_digest
from safehands.vault.access import check_staff

__all__ = ["KIND", "certify_unmoved"]

KIND = "handover"


def certify_unmoved(
    inst: Installation, handover_id: UUID, by: str, day: date, now: datetime
) -> dict[str, Json]:
    """Take a share deal to ``certified`` and return the signed certificate; once.

    Raises ``HandoverRefused`` for every other mode and before both approved.
    """
    check_staff(by)
    handover, asked = known(inst, handover_id)
    if handover.mode != "share_deal":
        raise HandoverRefused("handover.not_next", state=handover.state, to="certified")
    stations = [asked.seller.stations[code] for code in asked.request.stations]
    with people(inst, asked) as connection:
        passed = {e["key"]: e["facts"] for e in events(connection, handover_id, "state")}
        body: dict[str, Any] | None = passed.get("certified")
        if body is None:
            body = {
                "handover": str(handover_id),
                "seller": asked.seller.code,
                "mode": handover.mode,
                "proof": asked.request.proof_digest,
                "held": _held(connection, stations),
                "moved": 0,
                "erased": 0,
                "notice": passed.get("noticed", {}).get("notice", ""),
                "approvals": passed.get("approved", {}).get("approvals", {}),
                "by": by,
                "on": day.isoformat(),
            }
            advance(connection, handover_id, "certified", body, now)
            facts = {"handover": str(handover_id), "controller": asked.seller.code}
            run = f"handover-{handover_id}"
            journal.append(connection, "certify", run, now, facts, body_digest(KIND, body))
    journal.sequence(inst.store, now)
    return certificate(inst.store, KIND, body)


def _held(connection: Connection, stations: list[int]) -> dict[str, int]:
    row = connection.execute(text(_HELD), {"stations": stations}).mappings().one()
    return {name: int(number) for name, number in row.items()}


_HELD = (
    "SELECT (SELECT count(DISTINCT subject_id) FROM parcel WHERE station_id = ANY (:stations))"
    " AS people, (SELECT count(*) FROM parcel WHERE station_id = ANY (:stations)) AS parcels"
)
