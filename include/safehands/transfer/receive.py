"""Receive a package: verify, then one transaction that gives its rows the buyer's own keys.

Every person gets a new salt and ciphertext under the buyer's data key and a lookup under the
buyer's epoch; their id at the buyer is their name in the package, which nobody else has. Whom the
buyer knows stays who they are there: only rows are added. Before the commit all is read back and
compared with the package to the row, part by part, so that memory is bounded. The transaction is
the pipeline's, bound to the buyer: beside a night's rights it may add consents of a hand-over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.keys import KeyRing
from safehands.ledger import VerifierKey, body_digest
from safehands.pseudonymise.load import months
from safehands.pseudonymise.parcels import micros
from safehands.store import Store, effects, lock
from safehands.store.register import Owner, open_ring
from safehands.transfer.imports import Batch, Tables, tokens_of, write_rows
from safehands.transfer.known import People, sort_people
from safehands.transfer.opening import Opened, open_package
from safehands.transfer.readback import check_people, check_rows
from safehands.transfer.subjects import write_people

__all__ = ["KIND", "STEP", "Reception", "receive_package", "received", "records", "write_part"]

STEP, KIND = "handover_receive", "receipt"


@dataclass(frozen=True)
class Reception:
    """Who receives, and what they know of the package.

    ``identity``: the buyer's secret age identity. ``signer``: the seller's public key, as the
    agreement says. ``stations``: the seller's code → the buyer's. ``reissue_days``: of policy.
    """

    buyer: Owner
    identity: str
    signer: VerifierKey
    stations: Mapping[str, str]
    reissue_days: int
    run: str
    day: date


def receive_package(store: Store, sealed: bytes, how: Reception, now: datetime) -> dict[str, Any]:
    """Import a package once and return the body of the receipt.

    The same package again returns the same body and writes nothing. Raises what
    :func:`open_package` raises, and ``HandoverRefused`` for a second package of the same
    hand-over, a station that is not declared, or rows that do not read back as they were sent.
    """
    found = open_package(sealed, how.identity, how.signer, how.buyer.code)
    missing = set(found.manifest["stations"]) - set(how.stations)
    if missing or set(how.stations.values()) - set(how.buyer.stations):
        raise HandoverRefused("transfer.station_undeclared", count=max(len(missing), 1))
    for part in range(found.parts):
        months(store, micros(found.rows("parcel", part)["arrived_at"], 0))
    with store.begin(controller=how.buyer.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{how.buyer.id}")
        claim = effects.Claim(STEP, f"{how.buyer.code}/{found.manifest['handover']}", "", "")
        before = effects.find(connection, claim)
        if before is not None:
            if before["package"] != found.digest:
                raise HandoverRefused("transfer.another_package")
            return before
        body = _import(connection, store, found, how, now)
        effects.make(connection, claim, body)
        facts = {k: body[k] for k in ("handover", "package", "received")}
        digest = body_digest(KIND, body)
        journal.append(connection, "receive", how.run, now, facts, document=digest)
    with store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    return body


def received(store: Store, buyer: Owner, handover: str) -> dict[str, Any]:
    """Return the body of the receipt of a hand-over. Raises ``HandoverRefused`` before it."""
    with store.begin(controller=buyer.id) as connection:
        found = effects.find(connection, effects.Claim(STEP, f"{buyer.code}/{handover}", "", ""))
    if found is None:
        raise HandoverRefused("transfer.not_received")
    return found


def _import(
    connection: Connection, store: Store, found: Opened, how: Reception, now: datetime
) -> dict[str, Any]:
    ring = open_ring(connection, store.provider, how.buyer)
    batch = _batch(connection, found, how)
    counts: dict[str, dict[str, int]] = {}
    for part in range(found.parts):
        tables = found.part(part)
        people = sort_people(connection, ring, tables["person"], how.reissue_days)
        tokens = tokens_of(ring, tables)
        for table, one in write_part(connection, ring, tables, people, batch, tokens).items():
            known = counts.setdefault(table, dict.fromkeys(one, 0))
            counts[table] = {name: known[name] + number for name, number in one.items()}
    manifest = found.manifest
    return {
        "handover": manifest["handover"],
        "seller": manifest["seller"],
        "buyer": how.buyer.code,
        "package": found.digest,
        "root": manifest["root"],
        "digests": manifest["digests"],
        "received": counts,
        "stations": dict(sorted(how.stations.items())),
        "received_at": now.isoformat(timespec="seconds"),
        "seller_checkpoint": manifest["checkpoint"],
    }


def write_part(
    connection: Connection,
    ring: KeyRing,
    tables: Tables,
    people: People,
    batch: Batch,
    tokens: Mapping[bytes, bytes],
) -> dict[str, dict[str, int]]:
    """Write one part, read it back and compare it to the row; return counts per table."""
    plain = records(tables["person"])
    write_people(connection, ring, batch.controller, people, plain, tables["person"])
    counts = {"person": _person_counts(people)}
    counts |= write_rows(connection, ring, tables, people, batch, tokens)
    check_people(connection, ring, people, plain)
    check_rows(connection, batch, counts)
    return counts


def records(table: pa.Table) -> list[bytes]:
    """Return each person's record as it is sealed."""
    columns = (table[name].to_pylist() for name in ("name", "phone", "address"))
    return [_plain(*one) for one in zip(*columns, strict=True)]


def _plain(name: str, phone: str, address: str) -> bytes:
    record = {"address": address, "name": name, "phone": phone}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _person_counts(people: People) -> dict[str, int]:
    return {
        "new": len(people.new),
        "joined": len(people.joined),
        "kept_out": len(people.kept_out),
    }


def _batch(connection: Connection, found: Opened, how: Reception) -> Batch:
    stations = {code: how.buyer.stations[own] for code, own in how.stations.items()}
    values = {
        "controller": how.buyer.id,
        "station": min(stations.values()),
        "digest": found.digest,
        "label": f"handover-{found.manifest['handover']}",
        "run": how.run,
        "day": how.day,
    }
    number = int(connection.execute(text(_BATCH), values).scalar_one())
    return Batch(how.buyer.id, number, stations, f"handover:{found.manifest['handover']}")


_BATCH = (
    "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
    " business_date, state, facts) VALUES (:controller, :station, :digest, '', :label, :run, :day,"
    " 'loaded', '{}') RETURNING id"
)
