"""Seconds of re-wrapping and re-keying for N people, on the embedded PostgreSQL.

``re-wrap`` is a new epoch: every salt wrapped anew, every lookup recomputed. ``re-key`` is a new
data key: every record opened, sealed, opened again, written, and all of them opened once more with
the new key alone. ``root`` wraps the owner's keys anew. ``floor`` is what the ciphers alone cost:
the records opened, sealed and opened again in memory. One parcel in ten waits in custody.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from sqlalchemy import text

from safehands import embedded
from safehands.erasure import turn_epoch
from safehands.installation import Installation, open_installation
from safehands.rotation import key_state, rotate_data, rotate_root
from safehands.settings import Settings
from safehands.stations import Controller, Register, Station
from safehands.store import driver
from safehands.store.bulk import by_width, copy_in, uuids
from safehands.store.register import Owner, open_ring, owners, register

_DAY = date(2026, 11, 23)
_WRAPPED = "V60"


def now() -> datetime:
    """The bench's clock."""
    return datetime.now(UTC)


def main() -> None:
    """Run the bench and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-keys-", dir=options.dir) as folder:
        settings = Settings.read({}, home=str(Path(folder) / "home"), lang="en")
        try:
            _print(_bench(settings, options.people), options)
        finally:
            embedded.remove(embedded.Place(settings.home))


def _bench(settings: Settings, people: int) -> dict[str, float]:
    inst = open_installation(settings, now)
    try:
        owner = _owner(inst)
        with inst.store.begin(controller=owner.id) as connection:
            records = _people(connection, inst, owner, people)
        with inst.store.admin().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM ANALYZE subject, custody"))
        return {
            "floor": _timed(lambda: _floor(inst, owner, records)),
            "re-wrap": _timed(lambda: _turn(inst, owner)),
            "re-key": _timed(lambda: rotate_data(inst.store, owner, now())),
            "root": _timed(lambda: rotate_root(inst.store, now())),
            "status": _timed(lambda: key_state(inst.store)),
        }
    finally:
        inst.close()


def _timed(work: Callable[[], object]) -> float:
    start = monotonic()
    work()
    return monotonic() - start


def _turn(inst: Installation, owner: Owner) -> None:
    if turn_epoch(inst.store, owner, "bench", _DAY, now(), asked=True) is None:
        raise SystemExit("no new epoch was opened")


def _owner(inst: Installation) -> Owner:
    station = Station(code="S1", name="S1", folder="S1")
    declared = Controller(code="S", name="bench", record_sets={}, stations=(station,))
    register(inst.store, Register(controllers=(declared,)), _DAY)
    return owners(inst.store)["S"]


_Records = tuple[list[bytes], list[bytes], list[bytes]]


def _people(connection: Any, inst: Installation, owner: Owner, people: int) -> _Records:
    """Write people and slips as a load would; return ids, salts and sealed records."""
    ring = open_ring(connection, inst.store.provider, owner)
    ids = [os.urandom(16) for _ in range(people)]
    salts = [os.urandom(16) for _ in range(people)]
    phones = [f"139{i:08d}" for i in range(people)]
    graves = ring.tombstones("mobile", phones)
    plain = [
        json.dumps({"address": f"深圳市南山区试验路{i}号", "name": "测试", "phone": phone}).encode()
        for i, phone in enumerate(phones)
    ]
    wrapped = ring.wrap_salts(ids, [s + g for s, g in zip(salts, graves.tolist(), strict=True)])
    sealed = ring.seal("person", ids, salts, plain)
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE t (id uuid, lookup uuid, salt bytea, sealed bytea)")
    salt_bytes = np.frombuffer(b"".join(wrapped), dtype=_WRAPPED)
    for at, blobs in by_width(sealed):
        columns: list[Any] = [
            ("uuid", uuids(ids)[at]),
            ("uuid", ring.lookups_of(graves)[at]),
            ("bytes", salt_bytes[at]),
            ("bytes", blobs),
        ]
        copy_in(raw, "t", columns)
    connection.execute(text(_SUBJECT), {"id": owner.id})
    waiting = range(0, people, 10)
    tokens = [os.urandom(16) for _ in waiting]
    slips = ring.seal("custody", tokens, [salts[i] for i in waiting], [b"{}" * 30 for _ in waiting])
    raw.execute("CREATE TEMP TABLE c (token uuid, id uuid, sealed bytea)")
    for at, blobs in by_width(slips):
        mine = uuids([ids[i] for i in waiting])[at]
        copy_in(raw, "c", [("uuid", uuids(tokens)[at]), ("uuid", mine), ("bytes", blobs)])
    connection.execute(text(_CUSTODY), {"id": owner.id})
    return ids, salts, sealed


def _floor(inst: Installation, owner: Owner, records: _Records) -> None:
    ids, salts, sealed = records
    with inst.store.begin(controller=owner.id) as connection:
        ring = open_ring(connection, inst.store.provider, owner)
    plain = ring.unseal("person", ids, salts, sealed)
    ring.unseal("person", ids, salts, ring.seal("person", ids, salts, plain))


def _print(found: dict[str, float], options: argparse.Namespace) -> None:
    rounded = {name: round(seconds, 2) for name, seconds in found.items()}
    if options.json:
        print(json.dumps({"people": options.people, "seconds": rounded}))  # noqa: T201
        return
    print(f"{options.people:,} people, {platform.machine()}, {os.cpu_count()} cores")  # noqa: T201
    for name, seconds in rounded.items():
        per_person = name in ("floor", "re-wrap", "re-key") and seconds
        rate = f"{options.people / seconds:>12,.0f} people/s" if per_person else ""
        print(f"  {name:<8} {seconds:>8.2f} s {rate}")  # noqa: T201


_SUBJECT = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen)"
    " SELECT :id, id, lookup, 0, 1, salt, 1, sealed, 0, now(), now() FROM t ORDER BY id"
)
_CUSTODY = (
    "INSERT INTO custody (controller_id, waybill, subject_id, arrived_at, sealed)"
    " SELECT :id, token, id, now(), sealed FROM c ORDER BY token"
)


if __name__ == "__main__":
    main()
