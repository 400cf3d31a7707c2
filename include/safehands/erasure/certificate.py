"""The certificate of one erasure: what was deleted, what proves it, and what it does not reach.

The body is put together once, when both copies of the old epoch key are gone, and kept in the
store; the ledger entry of the same transaction names its digest. The document can be issued from
there at any time (``safehands verify FILE`` checks it offline). The file is written through the
outbox: after the commit, and again until it is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.certificates import certificate, keep_certificate
from safehands.erasure.requests import Request
from safehands.errors import PolicyError
from safehands.ledger import Json, body_digest
from safehands.store import Store

__all__ = ["FOLDER", "KIND", "announce", "body_of", "issue", "reach_of", "write_announced"]

KIND = "erasure"
FOLDER = "certificates"

_NOT_COUNTED = ("cut", "waiting")


def body_of(
    request: Request,
    turn: Mapping[str, Any],
    finished: datetime,
    policy: str,
    reach: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what is certified; ``turn`` holds the facts of the epoch opened for the request."""
    assert request.erased_at is not None
    counts = request.counts
    return {
        "request": request.request,
        "controller": request.controller,
        "reason": request.reason,
        "requested_at": request.requested_at.isoformat(timespec="seconds"),
        "erased_at": request.erased_at.isoformat(timespec="seconds"),
        "final_at": finished.isoformat(timespec="seconds"),
        "deleted": {n: c for n, c in sorted(counts.items()) if n not in _NOT_COUNTED},
        "link_cut": counts.get("cut", 0),
        "epoch": {
            "number": request.epoch,
            "opened": turn["opened"],
            "closed": turn["closed"],
            "destroyed": turn["closed"],
        },
        "proof": turn["proof"],
        "policy": policy,
        "not_reached": reach,
    }


def announce(
    connection: Connection, run: str, now: datetime, body: Mapping[str, Any], folder: Path
) -> None:
    """Record the certificate in the transaction that makes the erasure final."""
    values = {"request": body["request"], "body": json.dumps(body)}
    connection.execute(text(_FINAL), values)
    facts = {
        "controller": body["controller"],
        "request": body["request"],
        "state": "final",
        "counts": body["deleted"],
        "epoch": body["epoch"],
        "generation": body["proof"]["generation"],
    }
    digest = body_digest(KIND, body)
    journal.append(connection, "erasure", run, now, facts, document=digest)
    path = folder / f"erasure-{body['request']}.json"
    payload = {"request": body["request"], "controller": body["controller"], "path": str(path)}
    connection.execute(text(_ANNOUNCE), {"payload": json.dumps(payload)})


def issue(store: Store, request: Request) -> dict[str, Json]:
    """Return the signed certificate of a request that is final.

    Raises ``PolicyError`` for one that is not, ``LedgerBroken`` when the ledger does not hold it.
    """
    if request.certificate is None:
        raise PolicyError("erasure.not_final", request=request.request, state=request.state)
    return certificate(store, KIND, request.certificate)


def reach_of(request: Request) -> list[dict[str, Any]]:
    """Return what the certificate of a final request names as not reached."""
    return list(request.certificate["not_reached"]) if request.certificate else []


def write_announced(store: Store) -> int:
    """Write the files of certificates that were announced; return how many."""
    with store.begin() as connection:
        waiting = connection.execute(text(_WAITING)).all()
    for number, payload in waiting:
        with store.begin(controller=_controller(store, payload["controller"])) as connection:
            body = connection.execute(text(_BODY), payload).scalar_one()
        keep_certificate(Path(payload["path"]), certificate(store, KIND, body))
        with store.begin() as connection:
            done = text("UPDATE outbox SET done = true WHERE id = :id")
            connection.execute(done, {"id": number})
    return len(waiting)


def _controller(store: Store, code: str) -> int:
    with store.begin() as connection:
        query = text("SELECT id FROM controller WHERE code = :code")
        return int(connection.execute(query, {"code": code}).scalar_one())


_FINAL = (
    "UPDATE erasure SET state = 'final', certificate = CAST(:body AS jsonb)"
    " WHERE request = :request AND state = 'erased'"
)
_ANNOUNCE = "INSERT INTO outbox (kind, payload) VALUES ('certificate', CAST(:payload AS jsonb))"
_WAITING = "SELECT id, payload FROM outbox WHERE kind = 'certificate' AND NOT done ORDER BY id"
_BODY = "SELECT certificate FROM erasure WHERE request = :request"
