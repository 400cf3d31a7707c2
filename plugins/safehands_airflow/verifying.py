"""The button that verifies the ledger: every entry and every signed checkpoint, recomputed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from safehands import journal
from safehands.errors import LedgerBroken
from safehands.ledger import VerifierKey, fingerprint
from safehands.messages import say
from safehands.store import EvidenceStore
from safehands.verification import verifier_from
from safehands_airflow.seat import Place, Seat, doer
from safehands_airflow.showing import shown

__all__ = ["router"]

router = APIRouter()


@router.post("/backups")
def verify(seat: Annotated[Seat, Depends(doer("backups"))]) -> Response:
    """Verify, and show the page again with what was found. Nothing is written."""
    return shown(seat, verified=_verified(seat))


def _verified(seat: Seat) -> dict[str, Any]:
    lang, store = seat.view.lang, seat.place.store
    try:
        verifier = _verifier(seat.place)
        with store.begin("safehands_auditor") as connection:
            signed = journal.check(connection, verifier)
        if not signed:
            raise LedgerBroken("journal.nothing_to_verify")
    except LedgerBroken as error:
        reason = say(error.key, lang, **error.params)
        return {"whole": False, "words": say("dash.verify.broken", lang, reason=reason)}
    words = say("verify.ledger", lang, size=signed[-1].size, key=fingerprint(verifier))
    return {"whole": True, "words": words}


def _verifier(place: Place) -> VerifierKey:
    """Return the public key: from the key ring, or where no key is, from its file."""
    if isinstance(place.store, EvidenceStore):
        return verifier_from(None, place.settings.home / "ledger.pub")
    return journal.signing_key(place.store.provider).verifier
