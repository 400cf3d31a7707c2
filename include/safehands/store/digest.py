"""The store digest: one keyed value that says whether two stores hold the same.

It covers decrypted canonical rows and leaves out what differs between equal stores: nonces, salts,
random ids, tokens, key versions, run times and the ledger. The holders of one phone number count in
the order in which they were seen, not in that of loading. Two installations with the same root
key can be compared; the key keeps the digest from being a fingerprint of known data.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.keys.provider import digest_key
from safehands.store.bulk import NOBODY, Kind, copy_out
from safehands.store.engine import Store, driver
from safehands.store.register import Owner, open_ring, owners

__all__ = ["store_digest"]


def store_digest(store: Store) -> str:
    """Return the digest as hex. Reads and decrypts the whole store; raises ``KeyProblem``."""
    mac = hmac.new(digest_key(store.provider, "store"), digestmod="sha256")
    for owner in sorted(owners(store).values(), key=lambda o: o.code):
        with store.begin(controller=owner.id, storage=True) as connection:
            ring = open_ring(connection, store.provider, owner)
            for part in _parts(connection, store, ring, owner):
                mac.update(part)
    return mac.hexdigest()


def _parts(connection: Connection, store: Store, ring: KeyRing, owner: Owner) -> Iterable[bytes]:
    yield _section("owner", [owner.code, *sorted(owner.stations)])
    salts, people = _people(connection, store, ring)
    yield _section("subject", sorted(people.values()))
    yield from _parcels(connection, owner, people)
    yield _section("custody", sorted(_custody(connection, ring, salts, people)))
    yield _section("preference", sorted(_rows(connection, _PREFERENCES, people)))
    yield _section("quarantine", sorted(_rows(connection, _QUARANTINE, {})))
    graves = connection.execute(text("SELECT count(*) FROM tombstone")).scalar_one()
    yield _section("tombstone", [str(graves)])


def _section(name: str, rows: Iterable[str]) -> bytes:
    return json.dumps([name, *rows], ensure_ascii=True).encode() + b"\n"


def _people(
    connection: Connection, store: Store, ring: KeyRing
) -> tuple[dict[bytes, bytes], dict[bytes, str]]:
    """Return each subject's salt, and a keyed digest of who it is."""
    rows = connection.execute(text(_SUBJECTS)).all()
    subjects = [row[0].bytes for row in rows]
    salts = [s[:16] for s in ring.unwrap_salts(subjects, [row[1] for row in rows])]
    plain = ring.unseal("person", subjects, salts, [row[2] for row in rows])
    key = digest_key(store.provider, "person")
    who = [
        hmac.digest(key, record + repr(tuple(row[3:])).encode(), "sha256").hex()[:32]
        for record, row in zip(plain, rows, strict=True)
    ]
    return dict(zip(subjects, salts, strict=True)), dict(zip(subjects, who, strict=True))


def _parcels(connection: Connection, owner: Owner, people: dict[bytes, str]) -> Iterable[bytes]:
    kinds: tuple[Kind, ...] = ("uuid", "i4", "ts", "ts", "i4", "i2", "i2", "i2", "i2")
    columns = copy_out(driver(connection), _PARCELS, kinds)
    names = {**people, NOBODY: ""}
    who = pa.array(columns[0].tolist(), pa.binary()).dictionary_encode()
    known = pa.array([names[subject] for subject in who.dictionary.to_pylist()], pa.string())
    table = pa.table(
        {
            "who": known.take(who.indices),
            "station": pa.array(_places(columns[1], owner)),
            **{f"c{i}": pa.array(column) for i, column in enumerate(columns[2:])},
        }
    )
    ordered = table.sort_by([(name, "ascending") for name in table.column_names])
    yield _section("parcel", [str(ordered.num_rows)])
    for name in ordered.column_names:
        for value in ordered[name].combine_chunks().buffers()[1:]:
            yield bytes(value) if value is not None else b""


def _places(stations: Any, owner: Owner) -> Any:
    """Return each row's station as its place in the order of codes: ids differ between stores."""
    ids = [owner.stations[code] for code in sorted(owner.stations)]
    place = np.zeros(max(ids, default=0) + 1, dtype=np.int64)
    place[ids] = np.arange(len(ids))
    return place[stations]


def _custody(
    connection: Connection, ring: KeyRing, salts: dict[bytes, bytes], people: dict[bytes, str]
) -> Iterable[str]:
    for waybill, subject, sealed in connection.execute(text(_CUSTODY)):
        loose = subject is None
        salt = next(iter(ring.custody_salts([waybill.bytes]))) if loose else salts[subject.bytes]
        (slip,) = ring.unseal("custody", [waybill.bytes], [salt], [sealed])
        yield f"{'' if loose else people[subject.bytes]} {slip.decode()}"


def _rows(connection: Connection, query: str, people: dict[bytes, str]) -> Iterable[str]:
    for first, *rest in connection.execute(text(query)):
        yield f"{people[first.bytes] if people else first} {rest!r}"


_SUBJECTS = (
    "SELECT subject_id, wrapped_salt, sealed, row_number() OVER"
    " (PARTITION BY lookup ORDER BY first_seen, last_seen) - 1, detail, restricted,"
    " extract(epoch FROM first_seen), extract(epoch FROM last_seen) FROM subject"
)
_PARCELS = (
    "SELECT coalesce(subject_id, '00000000-0000-0000-0000-000000000000'), station_id, arrived_at,"
    " coalesce(collected_at, 'infinity'), district, carrier, status, weight_band, tags FROM parcel"
)
_CUSTODY = "SELECT waybill, subject_id, sealed FROM custody"
_PREFERENCES = (
    "SELECT subject_id, notify_channel, delivery_choice, time_window, marketing,"
    " extract(epoch FROM updated_at) FROM preference"
)
_QUARANTINE = (
    "SELECT b.file_digest, q.dataset, q.sheet, q.row_number, q.rule, q.column_name"
    " FROM quarantine q JOIN batch b ON b.id = q.batch_id"
)
