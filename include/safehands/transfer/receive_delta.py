"""The buyer takes the final delta in, or undoes a hand-over that was given up.

Both ask for the package as well: nothing but it says under which number a parcel waits and who was
known here before, and no list of that is kept anywhere. One transaction each, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.keys import KeyRing
from safehands.ledger import body_digest
from safehands.policy import Policy
from safehands.pseudonymise.load import months
from safehands.pseudonymise.parcels import micros
from safehands.store import Store, driver, effects, lock
from safehands.store.bulk import copy_in, uuids
from safehands.store.register import open_ring
from safehands.transfer import receive
from safehands.transfer.imports import Batch, tokens_of
from safehands.transfer.known import People, sort_people
from safehands.transfer.opening import Opened, open_package
from safehands.transfer.receive import KIND, Reception, records, write_part
from safehands.transfer.temporary import fresh
from safehands.transfer.unreceive import Undoing, remove_people, remove_rows, request_of_removal

__all__ = ["DELETION", "delete_received", "deleted", "delta_received", "receive_delta"]

DELETION = "deletion"
_DELTA, _DELETE = "handover_receive_delta", "handover_delete"


def receive_delta(
    store: Store, package: bytes, delta: bytes, how: Reception, policy: Policy, now: datetime
) -> dict[str, Any]:
    """Take a delta in once and return the body of its receipt.

    Raises what :func:`open_package` raises, and ``HandoverRefused`` for a delta of another
    package, out of its order, or before the package was received.
    """
    base = open_package(package, how.identity, how.signer, how.buyer.code)
    found = open_package(delta, how.identity, how.signer, how.buyer.code, kind="delta")
    if found.manifest["base"] != base.digest:
        raise HandoverRefused("transfer.other_base")
    for part in range(found.parts):
        months(store, micros(found.rows("parcel", part)["arrived_at"], 0))
    handover, number = str(found.manifest["handover"]), int(found.manifest["number"])
    with store.begin(controller=how.buyer.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{how.buyer.id}")
        before = effects.find(connection, _claim(how, handover, number))
        if before is not None:
            if before["package"] != found.digest:
                raise HandoverRefused("transfer.another_package")
            return before
        _check_turn(connection, how, base, number)
        taken = _take_in(connection, store, base, found, how, policy, now)
        body = {
            "handover": handover,
            "seller": found.manifest["seller"],
            "buyer": how.buyer.code,
            "package": found.digest,
            "base": base.digest,
            "number": number,
            "root": found.manifest["root"],
            **taken,
            "received_at": now.isoformat(timespec="seconds"),
        }
        effects.make(connection, _claim(how, handover, number), body)
        facts = {"handover": handover, "package": found.digest, "number": number, **taken}
        journal.append(connection, "receive", how.run, now, facts, body_digest(KIND, body))
    with store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    return body


def delta_received(store: Store, how_buyer: Any, handover: str, number: int) -> dict[str, Any]:
    """Return the body of a delta's receipt. Raises ``HandoverRefused`` before it."""
    claim = effects.Claim(_DELTA, f"{how_buyer.code}/{handover}/{number}", "", "")
    return _found(store, how_buyer, claim)


def delete_received(
    store: Store, package: bytes, how: Reception, policy: Policy, now: datetime
) -> dict[str, Any]:
    """Remove all that a hand-over brought, once; return the body of the deletion's certificate.

    For a hand-over that was given up after the buyer had received. Raises as
    :func:`receive_delta` does.
    """
    base = open_package(package, how.identity, how.signer, how.buyer.code)
    handover = str(base.manifest["handover"])
    claim = effects.Claim(_DELETE, f"{how.buyer.code}/{handover}", "", "")
    with store.begin(controller=how.buyer.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{how.buyer.id}")
        before = effects.find(connection, claim)
        if before is not None:
            return before
        _check_turn(connection, how, base, None)
        undo = _undoing(connection, base, how, policy, request_of_removal(handover, "deleted"), now)
        ring = open_ring(connection, store.provider, how.buyer)
        removed: dict[str, int] = {}
        people = [base.rows("person", part) for part in range(base.parts)]
        for brought, known in (_ids(connection, ring, one, how) for one in people):
            _add(removed, remove_people(connection, undo, brought, known))
        _add(removed, remove_rows(connection, undo))
        body = {
            "handover": handover,
            "seller": base.manifest["seller"],
            "buyer": how.buyer.code,
            "package": base.digest,
            "removed": dict(sorted(removed.items())),
            "request": undo.request,
            "deleted_at": now.isoformat(timespec="seconds"),
        }
        effects.make(connection, claim, body)
        facts = {"handover": handover, "package": base.digest, "removed": body["removed"]}
        journal.append(connection, "receive", how.run, now, facts, body_digest(DELETION, body))
    return body


def deleted(store: Store, buyer: Any, handover: str) -> dict[str, Any]:
    """Return the body of the deletion's certificate. Raises ``HandoverRefused`` before it."""
    return _found(store, buyer, effects.Claim(_DELETE, f"{buyer.code}/{handover}", "", ""))


def _found(store: Store, buyer: Any, claim: effects.Claim) -> dict[str, Any]:
    with store.begin(controller=buyer.id) as connection:
        found = effects.find(connection, claim)
    if found is None:
        raise HandoverRefused("transfer.not_received")
    return found


def _claim(how: Reception, handover: str, number: int) -> effects.Claim:
    return effects.Claim(_DELTA, f"{how.buyer.code}/{handover}/{number}", "", "")


def _check_turn(connection: Connection, how: Reception, base: Opened, number: int | None) -> None:
    """Raise unless the package was received, and the delta before this one as well."""
    handover = str(base.manifest["handover"])
    first = effects.Claim(receive.STEP, f"{how.buyer.code}/{handover}", "", "")
    received = effects.find(connection, first)
    if received is None or received["package"] != base.digest:
        raise HandoverRefused("transfer.not_received")
    last = number - 1 if number else 0
    if last and effects.find(connection, _claim(how, handover, last)) is None:
        raise HandoverRefused("transfer.delta_order", number=last)


@dataclass(frozen=True)
class _Gone:
    """The names in a delta's table of what is gone, per table, with the arrival of parcels."""

    table: pa.Table

    def of(self, name: str) -> pa.Table:
        return self.table.filter(pc.equal(self.table["table"], name))


def _take_in(
    connection: Connection,
    store: Store,
    base: Opened,
    found: Opened,
    how: Reception,
    policy: Policy,
    now: datetime,
) -> dict[str, Any]:
    ring = open_ring(connection, store.provider, how.buyer)
    gone = _Gone(found.gone())
    request = request_of_removal(base.manifest["handover"], f"delta-{found.manifest['number']}")
    undo = _undoing(connection, base, how, policy, request, now)
    stations = {code: how.buyer.stations[own] for code, own in how.stations.items()}
    batch = Batch(how.buyer.id, undo.batch, stations, undo.source)
    tokens = _all_tokens(ring, base, found)
    removed = _remove(connection, ring, base, gone, how, undo, tokens)
    counts: dict[str, dict[str, int]] = {}
    corrected = 0
    for part in range(found.parts):
        tables = found.part(part)
        _make_room(connection, batch, tables, tokens)
        people = sort_people(connection, ring, tables["person"], how.reissue_days)
        corrected += _correct(connection, ring, people, tables["person"])
        for table, one in write_part(connection, ring, tables, people, batch, tokens).items():
            _add(counts.setdefault(table, {}), one)
    return {"received": counts, "corrected": corrected, "removed": dict(sorted(removed.items()))}


def _undoing(
    connection: Connection,
    base: Opened,
    how: Reception,
    policy: Policy,
    request: str,
    now: datetime,
) -> Undoing:
    values = {"controller": how.buyer.id, "digest": base.digest}
    batch = int(connection.execute(text(_BATCH), values).scalar_one())
    source = f"handover:{base.manifest['handover']}"
    return Undoing(how.buyer.id, batch, source, request, how.day, now, policy)


def _all_tokens(ring: KeyRing, base: Opened, found: Opened) -> dict[bytes, bytes]:
    """Return the buyer's token of every parcel that waits now or waited in the package."""
    made: dict[bytes, bytes] = {}
    for opened in (base, found):
        for part in range(opened.parts):
            made |= tokens_of(ring, opened.part(part))
    return made


def _remove(
    connection: Connection,
    ring: KeyRing,
    base: Opened,
    gone: _Gone,
    how: Reception,
    undo: Undoing,
    tokens: Mapping[bytes, bytes],
) -> dict[str, int]:
    names = gone.of("person")["name"].combine_chunks()
    removed: dict[str, int] = {}
    for part in range(base.parts):
        people = base.rows("person", part)
        left = people.filter(pc.is_in(people["person"], value_set=names))
        if left.num_rows:
            _add(removed, remove_people(connection, undo, *_ids(connection, ring, left, how)))
    # Whom an earlier delta brought is not in the package; their names are their ids.
    brought = [UUID(bytes=one) for one in names.to_pylist()]
    _add(removed, remove_people(connection, undo, brought, []))
    wishes = [UUID(bytes=one) for one in gone.of("preference")["name"].to_pylist()]
    _add(removed, {"preference": _rows(connection, undo, _WISHES, {"who": wishes})})
    for table in ("custody", "parcel"):
        _place(connection, gone.of(table), "name", tokens)
        _add(removed, {table: _rows(connection, undo, _PLACED[table], {})})
    return {name: count for name, count in removed.items() if count}


def _rows(connection: Connection, undo: Undoing, statement: str, more: Mapping[str, Any]) -> int:
    return connection.execute(text(statement), {**undo.values, **more}).rowcount


def _ids(
    connection: Connection, ring: KeyRing, people: pa.Table, how: Reception
) -> tuple[list[UUID], list[UUID]]:
    """Return the ids here of people of the package: whom it brought, and who was known."""
    found = sort_people(connection, ring, people, how.reissue_days)
    brought: list[UUID] = []
    known: list[UUID] = []
    for i in found.joined:
        own = found.ids[i] == found.names[i]
        (brought if own else known).append(UUID(bytes=found.ids[i]))
    return brought, known


def _make_room(
    connection: Connection,
    batch: Batch,
    tables: Mapping[str, pa.Table],
    tokens: Mapping[bytes, bytes],
) -> None:
    """Remove the rows that this delta replaces: those of the hand-over, as they were sent."""
    values = {"controller": batch.controller, "batch": batch.number}
    _place(connection, tables["parcel"], "waybill", tokens)
    for table in ("custody", "parcel"):
        connection.execute(text(_PLACED[table]), values)
    names = [UUID(bytes=one) for one in tables["preference"]["person"].to_pylist()]
    connection.execute(text(_WISHES), {**values, "who": names})


def _place(
    connection: Connection, table: pa.Table, column: str, tokens: Mapping[bytes, bytes]
) -> None:
    raw = driver(connection)
    fresh(raw, "placed", "waybill uuid, arrived_at timestamptz")
    names = table[column].to_pylist()
    if names:
        waybills = uuids([tokens.get(name, name) for name in names])
        copy_in(raw, "placed", [("uuid", waybills), ("ts", micros(table["arrived_at"], 0))])


def _correct(connection: Connection, ring: KeyRing, people: People, table: pa.Table) -> int:
    """Seal anew whom the hand-over brought and whose name or address was corrected since."""
    plain = records(table)
    mine = {people.ids[i]: plain[i] for i in people.joined if people.ids[i] == people.names[i]}
    rows = connection.execute(text(_SEALED), {"who": [UUID(bytes=one) for one in mine]}).all()
    ids = [row[0].bytes for row in rows]
    salts = [secret[:16] for secret in ring.unwrap_salts(ids, [row[1] for row in rows])]
    now = ring.unseal("person", ids, salts, [row[2] for row in rows])
    other = [i for i, one in enumerate(ids) if now[i] != mine[one]]
    sealed = ring.seal(
        "person", [ids[i] for i in other], [salts[i] for i in other], [mine[ids[i]] for i in other]
    )
    values = [
        {"who": UUID(bytes=ids[i]), "sealed": blob, "version": ring.version}
        for i, blob in zip(other, sealed, strict=True)
    ]
    if values:
        connection.execute(text(_RESEAL), values)
    return len(values)


def _add(into: dict[str, int], more: Mapping[str, int] | Iterable[Any]) -> None:
    for name, count in dict(more).items():
        into[name] = into.get(name, 0) + count


_BATCH = (
    "SELECT id FROM batch WHERE controller_id = :controller AND file_digest = :digest"
    " ORDER BY id LIMIT 1"
)
_MINE = (
    "p.controller_id = :controller AND p.batch_id = :batch"
    " AND p.waybill = i.waybill AND p.arrived_at = i.arrived_at"
)
_PLACED = {
    "custody": (
        "DELETE FROM custody c USING placed i, parcel p WHERE c.controller_id = :controller"
        f" AND c.waybill = i.waybill AND c.arrived_at = i.arrived_at AND {_MINE}"
    ),
    "parcel": f"DELETE FROM parcel p USING placed i WHERE {_MINE}",
}
_WISHES = (
    "DELETE FROM preference p WHERE p.controller_id = :controller AND p.batch_id = :batch"
    " AND p.subject_id = ANY(:who)"
)
_SEALED = "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE subject_id = ANY(:who)"
_RESEAL = "UPDATE subject SET sealed = :sealed, key_version = :version WHERE subject_id = :who"
