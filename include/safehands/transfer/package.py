"""The sealed package: the tables of those who move, for the buyer's age key alone.

One file: an age container (C2SP age, X25519) around a ZIP without compression::

    manifest.json        canonical JSON, see ``_manifest``
    manifest.note        signed note (Ed25519, the seller's ledger key) over the manifest's digest
    <table>.parquet      one per table of ``contents.SCHEMAS``

Leaves of the Merkle root (RFC 6962) are ``<table> <sha256 of the Parquet bytes>``, in the order of
the tables. Not promised: that whoever holds the buyer's identity keeps the content to themselves.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.handover.approvals import check_standing
from safehands.keys import age
from safehands.keys.pairing import PairKey
from safehands.ledger import Frontier, SigningKey, canonical_json, leaf_hash, sign
from safehands.store import Store, effects, lock
from safehands.store.register import Owner, open_ring
from safehands.transfer.contents import FORMAT, SCHEMAS, TABLES
from safehands.transfer.files import write_whole
from safehands.transfer.measured import of_package
from safehands.transfer.reconcile import held_by_class
from safehands.transfer.rows import Seen, read_tables, take_out_masked
from safehands.transfer.xlsx import workbook

__all__ = ["STEP", "Order", "Packaged", "make_package", "merkle_root", "note_text"]

STEP = "handover_package"


@dataclass(frozen=True)
class Order:
    """What is packaged: the hand-over, the seller, its stations' codes, for which age recipient.

    ``open_requests``: of the people who move; ids and kinds of requests, due days, never a person.
    ``form``: ``xlsx`` for a buyer without Safehands, who signs the form inside by hand.
    """

    handover: UUID
    seller: Owner
    stations: tuple[str, ...]
    buyer: str
    recipient: str
    open_requests: tuple[Mapping[str, str], ...] = ()
    form: Literal["package", "xlsx"] = "package"


@dataclass(frozen=True)
class Packaged:
    """What was made: SHA-256 of the sealed file, rows per table, people taken out as masked."""

    digest: str
    counts: dict[str, int]
    manifest: str
    masked: int


def make_package(store: Store, order: Order, path: Path, now: datetime) -> Packaged:
    """Write the sealed package to ``path`` and take the hand-over to ``packaged``.

    Once: a second call finds what the first did, and that the file is still it. Raises
    ``HandoverRefused`` when the file is gone or another, when the hand-over is not approved, or
    when the rows of the stations are not all in one class.
    """
    seller = order.seller
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        claim = effects.Claim(STEP, str(order.handover), "", "")
        before = effects.find(connection, claim)
        if before is not None:
            return _same(path, before)
        check_standing(connection, order.handover)
        masked = take_out_masked(connection, order.handover)
        stations = {seller.stations[code]: code for code in order.stations}
        held_by_class(connection, order.handover, list(stations))
        ring = open_ring(connection, store.provider, seller)
        names = PairKey(store.provider, str(order.handover))
        tables = read_tables(connection, Seen(order.handover, stations, ring, names))
        files = {name: _parquet(tables[name]) for name in TABLES}
        said = _manifest(connection, store, order, tables, files, now)
        manifest, key = canonical_json(said), journal.signing_key(store.provider)
        xlsx = order.form == "xlsx"
        plain = workbook(tables, said) if xlsx else _container(manifest, key, files)
        sealed = age.encrypt(plain, [order.recipient])
        made = Packaged(
            hashlib.sha256(sealed).hexdigest(),
            {name: tables[name].num_rows for name in TABLES},
            hashlib.sha256(manifest).hexdigest(),
            masked,
        )
        effects.make(connection, claim, made.__dict__)
        beside = 0 if xlsx else _beside(plain)
        counted = of_package(connection, seller, order.handover, names, tables, beside, now)
        evidence = {"counted": counted, "digests": said["digests"]}
        evidence |= {"package": made.digest, "manifest": made.manifest, "counts": made.counts}
        state.advance(connection, order.handover, "packaged", evidence, now)
        # Before the commit: killed in between, the next call writes the file anew.
        write_whole(path, sealed)
    return made


def merkle_root(digests: Mapping[str, str]) -> str:
    """Return the root over the tables' digests, as hex."""
    leaves = (leaf_hash(f"{name} {digests[name]}".encode()) for name in TABLES)
    return Frontier().extend(leaves).root().hex()


def note_text(manifest: bytes) -> str:
    """Return the text that is signed for a manifest."""
    return f"{FORMAT}\nmanifest\nsha256:{hashlib.sha256(manifest).hexdigest()}\n"


def _manifest(
    connection: Connection,
    store: Store,
    order: Order,
    tables: Mapping[str, pa.Table],
    files: Mapping[str, bytes],
    now: datetime,
) -> dict[str, Any]:
    digests = {name: hashlib.sha256(files[name]).hexdigest() for name in TABLES}
    notices = connection.execute(text(_NOTICES)).all()
    return {
        "format": FORMAT,
        "handover": str(order.handover),
        "seller": order.seller.code,
        "buyer": order.buyer,
        "stations": sorted(order.stations),
        "made_at": now.isoformat(timespec="seconds"),
        "schema": {name: _types(SCHEMAS[name]) for name in TABLES},
        "counts": {name: tables[name].num_rows for name in TABLES},
        "digests": digests,
        "root": merkle_root(digests),
        "consents": _by_purpose(tables["consent"]),
        "open_requests": [dict(one) for one in order.open_requests],
        "clocks": _clocks(tables["parcel"]),
        "notices": [{"number": n, "digest": d, "valid_from": str(v)} for n, d, v in notices],
        "checkpoint": journal.latest(connection) or "",
        "signer": str(journal.signing_key(store.provider).verifier),
    }


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _by_purpose(consents: pa.Table) -> dict[str, int]:
    counted = consents.column("purpose").value_counts().to_pylist()
    return {one["values"]: one["counts"] for one in counted}


def _clocks(parcels: pa.Table) -> dict[str, str]:
    """Retention goes on from the dates in the rows; the earliest and the latest arrival."""
    times = parcels.column("arrived_at").cast(pa.int64())
    if not len(times):
        return {}
    ends = pc.min_max(times).as_py()
    return {
        end: datetime.fromtimestamp(ends[end] / 1e6, tz=UTC).date().isoformat()
        for end in ("min", "max")
    }


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=["station"] if "station" in table.column_names else False,
    )
    return sink.getvalue()


def _container(manifest: bytes, key: SigningKey, files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as box:
        for name, data in _members(manifest, key, files):
            box.writestr(zipfile.ZipInfo(name), data)
    return sink.getvalue()


def _members(
    manifest: bytes, key: SigningKey, files: Mapping[str, bytes]
) -> Iterable[tuple[str, bytes]]:
    yield "manifest.json", manifest
    yield "manifest.note", sign(note_text(manifest), key).encode()
    for name in TABLES:
        yield f"{name}.parquet", files[name]


def _beside(plain: bytes) -> int:
    """Return how many files of a container are no table and not its manifest."""
    known = {"manifest.json", "manifest.note", *(f"{name}.parquet" for name in TABLES)}
    with zipfile.ZipFile(io.BytesIO(plain)) as box:
        return len(set(box.namelist()) - known)


def _same(path: Path, before: Mapping[str, Any]) -> Packaged:
    made = Packaged(**before)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != made.digest:
        raise HandoverRefused("transfer.package_lost", file=path.name)
    return made


_NOTICES = "SELECT number, digest, valid_from FROM notice_version ORDER BY number"
