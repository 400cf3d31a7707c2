"""The seller's proof for three years: one person's class and answers, found by their number.

The burden of proof stays with the seller (PIPL 69) after everything else of theirs is gone. One
age file, format ``safehands-evidence-bundle/1``: a Parquet table of answers, one row per answer (or
one for who gave none), under a token of the number. Both the age identity and the tokens' key
are this hand-over's alone; the certificate names them, and destroying them ends the bundle in every
copy. No name, address or parcel is in it.

Not promised: whoever holds the tokens' key can try all mobile numbers in hours.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from safehands import journal
from safehands.erasure import canonical_number
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.handover.classify import campaign
from safehands.keys import age
from safehands.keys.pairing import PairKey, end_pairing, pair_name
from safehands.keys.ring import KeyRing
from safehands.store import Store, lock
from safehands.store.register import Owner, open_ring
from safehands.transfer.files import write_whole
from safehands.vault.access import check_staff

__all__ = ["FORMAT", "Bundle", "bundle_of", "end_bundle", "look_up", "make_bundle", "prove"]

FORMAT = b"safehands-evidence-bundle/1"
_EVENT = ("document", "evidence_bundle")


@dataclass(frozen=True)
class Bundle:
    """What was made: SHA-256 of the file, people in it, names of the keys that open it."""

    digest: str
    people: int
    keys: tuple[str, ...]


def make_bundle(store: Store, seller: Owner, handover: UUID, path: Path, now: datetime) -> Bundle:
    """Write the bundle of everybody who is listed; must come before the cut-over. Once."""
    with store.begin(controller=seller.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        before = bundle_of(connection, handover)
        if before is not None:
            return before
        ring = open_ring(connection, store.provider, seller)
        names = PairKey(store.provider, _tokens_name(handover))
        table, people = _table(connection, ring, names, handover)
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({b"format": FORMAT}), sink)
        identity = _identity_name(handover)
        sealed = age.encrypt(sink.getvalue(), [age.make_identity(store.provider, identity)])
        keys = (pair_name(_tokens_name(handover)), identity)
        made = Bundle(hashlib.sha256(sealed).hexdigest(), people, keys)
        facts = {"digest": made.digest, "people": people, "keys": list(keys)}
        state.note(connection, handover, *_EVENT, facts, now)
        write_whole(path, sealed)
    return made


def bundle_of(connection: Connection, handover: UUID) -> Bundle | None:
    """Return the bundle that was made for a hand-over, if one was."""
    kind, key = _EVENT
    found = [e["facts"] for e in state.events(connection, handover, kind) if e["key"] == key]
    if not found:
        return None
    return Bundle(found[0]["digest"], found[0]["people"], tuple(found[0]["keys"]))


def look_up(
    store: Store, seller: Owner, handover: UUID, sealed: bytes, phone: str
) -> list[dict[str, Any]]:
    """Return class and answers of whoever had this mobile number: kind, notice, channel, at.

    ``phone``: eleven digits. Raises ``KeyProblem`` once the keys were destroyed.
    """
    with store.begin(controller=seller.id) as connection:
        ring = open_ring(connection, store.provider, seller)
    plain = age.decrypt(sealed, age.identity(store.provider, _identity_name(handover)))
    table = pq.read_table(io.BytesIO(plain))
    if (table.schema.metadata or {}).get(b"format") != FORMAT:
        raise HandoverRefused("transfer.format", wanted=FORMAT.decode())
    names = PairKey(store.provider, _tokens_name(handover))
    token = names.names("phone", ring.tombstones("mobile", [phone]).tolist())[0].tobytes()
    return [
        {k: v for k, v in row.items() if k != "token"}
        for row in table.to_pylist()
        if row["token"] == token
    ]


def prove(
    store: Store,
    seller: Owner,
    handover: UUID,
    sealed: bytes,
    phone: str,
    by: str,
    now: datetime,
) -> dict[str, Any]:
    """Return what proves one person's notice and answers, and enter that somebody looked.

    ``listed``: whether the number is in the bundle; then ``posted`` and ``notice``, the day on
    which people were told and the digest of what they were told, and ``answers`` as ``look_up``
    has them. The number stands nowhere in it. Raises as ``look_up``, and ``PolicyError`` for what
    is no mobile number: a slip of the keyboard must not read as "never listed".
    """
    check_staff(by)
    answers = look_up(store, seller, handover, sealed, canonical_number(phone))
    with store.begin(controller=seller.id) as connection:
        passed = {e["key"]: e["facts"] for e in state.events(connection, handover, "state")}
        told = passed.get("noticed", {})
        facts = {"kind": "document", "key": "evidence_looked_up", "handover": str(handover)}
        journal.append(connection, "handover", f"handover-{handover}", now, {**facts, "by": by})
    if not answers:
        return {"listed": False}
    return {
        "listed": True,
        "posted": str(told.get("posted", "")),
        "notice": str(told.get("notice", "")),
        "answers": answers,
    }


def end_bundle(store: Store, handover: UUID) -> bool:
    """Destroy the bundle's keys, when its three years are over; return whether there were any."""
    ended = end_pairing(store.provider, _tokens_name(handover))
    return store.provider.destroy(_identity_name(handover)) or ended


def _tokens_name(handover: UUID) -> str:
    return f"{handover}-evidence"


def _identity_name(handover: UUID) -> str:
    return f"evidence-identity/{handover}"


def _table(
    connection: Connection, ring: KeyRing, names: PairKey, handover: UUID
) -> tuple[pa.Table, int]:
    values = {"id": handover, "campaign": campaign(handover)}
    rows = connection.execute(text(_LISTED), values).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    tokens = names.names("phone", [secret[16:] for secret in secrets]).tolist()
    fields = ("class", "kind", "purpose", "notice", "channel", "evidence", "at")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(fields, start=2)}
    schema = pa.schema(
        [
            ("token", pa.binary(16)),
            *((name, pa.string()) for name in ("class", "kind", "purpose")),
            ("notice", pa.int32()),
            *((name, pa.string()) for name in ("channel", "evidence")),
            ("at", pa.timestamp("us", "UTC")),
        ]
    )
    table = pa.Table.from_pydict({"token": tokens, **columns}, schema=schema)
    return table, len({row[0] for row in rows})


_LISTED = (
    "SELECT h.subject_id, s.wrapped_salt, h.class, e.kind, e.purpose, e.notice, e.channel,"
    " e.evidence, e.at FROM handover_subject h JOIN subject s USING (controller_id, subject_id)"
    " LEFT JOIN consent_event e ON e.controller_id = h.controller_id"
    " AND e.subject_id = h.subject_id AND e.campaign = :campaign"
    " WHERE h.handover_id = :id ORDER BY h.subject_id, e.id"
)
