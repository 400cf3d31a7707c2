"""The sealed package: the tables of those who move, for the buyer's age key alone.

Whoever may not leave is taken out at the door (:mod:`safehands.transfer.door`), whatever the
listing says. What is in the file: :mod:`safehands.transfer.container`. Not promised: that whoever
holds the buyer's identity keeps the content to themselves.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.handover.approvals import check_standing
from safehands.keys import age
from safehands.keys.pairing import PairKey
from safehands.ledger import canonical_json
from safehands.night import SHANGHAI
from safehands.store import Store, effects, lock
from safehands.store.register import open_ring
from safehands.transfer.container import Gathered, container, merkle_root, types
from safehands.transfer.contents import FORMAT, SCHEMAS, TABLES
from safehands.transfer.door import shut
from safehands.transfer.files import write_whole
from safehands.transfer.form import blank_form
from safehands.transfer.measured import of_package
from safehands.transfer.order import Order, check_closing, check_order
from safehands.transfer.papers import require
from safehands.transfer.prints import Prints
from safehands.transfer.reconcile import held_by_class
from safehands.transfer.rows import Seen, gather, read_part
from safehands.transfer.shards import Ready
from safehands.transfer.xlsx import workbook

__all__ = [
    "STEP",
    "Packaged",
    "form_path",
    "make_package",
    "manifest_of",
    "packaged",
    "prints_name",
    "prints_path",
    "seal",
]

STEP = "handover_package"


@dataclass(frozen=True)
class Packaged:
    """What was made: SHA-256 of the sealed file, rows per table, who was taken out by class.

    ``prints``: SHA-256 of the sealed fingerprints beside the package.
    """

    digest: str
    counts: dict[str, int]
    manifest: str
    taken_out: dict[str, int]
    prints: str
    root: str


def make_package(
    store: Store, order: Order, path: Path, now: datetime, ready: Ready | None = None
) -> Packaged:
    """Write the sealed package to ``path`` and take the hand-over to ``packaged``.

    ``ready``: shards that were re-keyed before; a part without one is opened here.

    Once: a second call finds what the first did, and that the file is still it. Raises
    ``HandoverRefused`` when the file is gone or another, when the hand-over is not approved,
    without evidence of closing, before the day of closing, for other stations, another buyer or
    another key than were approved, when the rows of the stations are not all in one class, or
    when somebody is in it without a basis.
    """
    seller = order.seller
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        before = packaged(connection, order.handover)
        if before is not None:
            return _same(path, before)
        check_standing(connection, order.handover)
        known = state.load(connection, order.handover)
        check_order(connection, known, order)
        check_closing(known, order.day or now.astimezone(SHANGHAI).date())
        closing = require(connection, known, "closing_evidence")
        ring = open_ring(connection, store.provider, seller)
        taken_out = shut(connection, known, ring, now.astimezone(SHANGHAI).date())
        stations = {seller.stations[code]: code for code in order.stations}
        held_by_class(connection, order.handover, list(stations))
        names = PairKey(store.provider, str(order.handover))
        seen = Seen(order.handover, stations, ring, names, known.mode == "asset_deal")
        gathered, prints = Gathered(), Prints()
        parts = gather(connection, seen, order.part_parcels)
        for part in range(parts):
            made_before = ready.tables(connection, seen, part, parts) if ready else None
            tables = made_before or read_part(connection, seen, part)
            gathered.add(tables)
            prints.add(tables)
        files = gathered.files()
        said = {"closing": closing, **manifest_of(connection, store, order, gathered, files, now)}
        sealed = seal(store, order, said, files)
        kept = prints.sealed(age.make_identity(store.provider, prints_name(order.handover)))
        made = Packaged(
            hashlib.sha256(sealed).hexdigest(),
            gathered.counts,
            hashlib.sha256(canonical_json(said)).hexdigest(),
            taken_out,
            hashlib.sha256(kept).hexdigest(),
            str(said["root"]),
        )
        effects.make(connection, _claim(order.handover), asdict(made))
        counted = of_package(
            connection, seller, order.handover, names, _people_of(files), _beside(files), now
        )
        lacking = max(counted["transfer.without_basis"], counted["transfer.silent_included"])
        if lacking:
            # The door let somebody pass whose answer is not there: nothing is written.
            raise HandoverRefused("transfer.no_basis", people=lacking)
        evidence = {"counted": counted, "digests": said["digests"]}
        evidence |= {"package": made.digest, "manifest": made.manifest, "counts": made.counts}
        evidence |= {"taken_out": taken_out, "closing": closing}
        state.advance(connection, order.handover, "packaged", evidence, now)
        # Before the commit: killed in between, the next call writes the files anew.
        write_whole(prints_path(path), kept)
        if order.form == "xlsx":
            write_whole(form_path(path), blank_form(said))
        write_whole(path, sealed)
    return made


def packaged(connection: Connection, handover: UUID) -> Packaged | None:
    """Return what was packaged for a hand-over, if anything was."""
    found = effects.find(connection, _claim(handover))
    return None if found is None else Packaged(**found)


def prints_name(handover: UUID) -> str:
    """Return the name of the identity that opens the fingerprints; it ends at cut-over."""
    return f"handover-prints/{handover}"


def prints_path(package: Path) -> Path:
    """Return where the fingerprints of a package lie: beside it, at the seller alone."""
    return package.with_name(f"{package.name}.prints")


def form_path(file: Path) -> Path:
    """Return where the receipt form of a workbook lies: beside it."""
    return file.with_name(f"{file.name}.receipt.xlsx")


def manifest_of(
    connection: Connection,
    store: Store,
    order: Order,
    gathered: Gathered,
    files: Mapping[str, bytes],
    now: datetime,
) -> dict[str, Any]:
    """Return the manifest: schema, counts, digests, bases, clocks, open requests, notices."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    notices = connection.execute(text(_NOTICES)).all()
    asked = connection.execute(text(_REQUESTS)).all()
    return {
        "format": FORMAT,
        "handover": str(order.handover),
        "seller": order.seller.code,
        "buyer": order.buyer,
        "stations": sorted(order.stations),
        "made_at": now.isoformat(timespec="seconds"),
        "schema": {name: types(SCHEMAS[name]) for name in TABLES},
        "counts": gathered.counts,
        "parts": gathered.parts,
        "digests": digests,
        "root": merkle_root(digests),
        "consents": dict(sorted(gathered.purposes.items())),
        "open_requests": [
            {"request": number, "kind": kind, "latest": str(latest)}
            for number, kind, latest in asked
        ],
        "clocks": gathered.clocks,
        "notices": [{"number": n, "digest": d, "valid_from": str(v)} for n, d, v in notices],
        "checkpoint": journal.latest(connection) or "",
        "signer": str(journal.signing_key(store.provider).verifier),
    }


def _claim(handover: UUID) -> effects.Claim:
    return effects.Claim(STEP, str(handover), "", "")


def seal(store: Store, order: Order, said: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Return tables and manifest for the buyer alone: as a container, or as a workbook."""
    if order.form == "xlsx":
        tables = {name: pq.read_table(io.BytesIO(data)) for name, data in files.items()}
        plain = workbook(tables, said)
    else:
        plain = container(canonical_json(said), journal.signing_key(store.provider), files)
    return age.encrypt(plain, [order.recipient])


def _people_of(files: Mapping[str, bytes]) -> dict[str, pa.Table]:
    """Return what the figures are counted from: names and dates of people, whose parcels wait."""
    wanted = {"person": ["person", "last_seen"], "custody": ["person"]}
    return {
        name: pq.read_table(io.BytesIO(files[name]), columns=columns)
        for name, columns in wanted.items()
    }


def _beside(files: Mapping[str, bytes]) -> int:
    """Return how many files of a package are no table."""
    return len(set(files) - set(TABLES))


def _same(path: Path, made: Packaged) -> Packaged:
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != made.digest:
        raise HandoverRefused("transfer.package_lost", file=path.name)
    return made


_NOTICES = "SELECT number, digest, valid_from FROM notice_version ORDER BY number"
# Requests of people who move, by id and kind: never whose they are.
_REQUESTS = (
    "SELECT r.request, r.kind, r.latest FROM subject_request r JOIN moving m USING (subject_id)"
    " WHERE r.state IN ('registered', 'identified', 'granted') ORDER BY r.request"
)
