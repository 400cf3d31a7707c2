"""The final delta: what changed between the package and the cut-over, so that nothing is lost.

New parcels, changed ones, corrections go as rows; who withdrew, was erased, restricted or masked
since, and what was purged, goes as a name that the buyer deletes by. It is compared with the
fingerprints of what was packaged, so that the seller never opens its own package again. Signed and
sealed like a package; its manifest names the package it belongs to and its number. A buyer without
Safehands gets it as a second workbook with a receipt form of its own.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.keys import age
from safehands.keys.pairing import PairKey
from safehands.night import SHANGHAI
from safehands.store import Store, lock
from safehands.store.register import open_ring
from safehands.transfer.container import Gathered
from safehands.transfer.contents import GONE, TABLES
from safehands.transfer.door import shut
from safehands.transfer.files import write_whole
from safehands.transfer.form import blank_form
from safehands.transfer.freeze import is_frozen
from safehands.transfer.order import Order, check_order
from safehands.transfer.package import (
    Packaged,
    form_path,
    manifest_of,
    packaged,
    prints_name,
    prints_path,
    seal,
)
from safehands.transfer.prints import Before, Prints
from safehands.transfer.reconcile import held_by_class
from safehands.transfer.rows import Seen, gather, read_part
from safehands.transfer.standing import deltas, unanswered

__all__ = ["Delta", "make_delta"]


@dataclass(frozen=True)
class Delta:
    """What was made: number, SHA-256 of the sealed file, rows that go, rows that are gone.

    ``now``: rows per table that the buyer holds of the hand-over once it has taken the delta in.
    """

    number: int
    digest: str
    file: str
    counts: dict[str, int]
    gone: dict[str, int]
    taken_out: dict[str, int]
    now: dict[str, int]
    prints: str
    root: str = ""


def make_delta(store: Store, order: Order, package: Path, path: Path, now: datetime) -> Delta:
    """Write the next delta of ``package`` to ``path``; the same file again is the same delta.

    Raises ``HandoverRefused`` before the buyer's receipt, while a station is not frozen, while an
    earlier delta waits for its receipt, and without the fingerprints.
    """
    seller, handover = order.seller, order.handover
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        before = _same(deltas(connection, handover), path)
        if before is not None:
            return before
        made = _due(connection, order)
        known = state.load(connection, handover)
        ring = open_ring(connection, store.provider, seller)
        taken_out = shut(connection, known, ring, now.astimezone(SHANGHAI).date())
        stations = {seller.stations[code]: code for code in order.stations}
        held_by_class(connection, handover, list(stations))
        names = PairKey(store.provider, str(handover))
        seen = Seen(handover, stations, ring, names, known.mode == "asset_deal")
        number = len(deltas(connection, handover)) + 1
        last = Before(
            _prints_of(connection, order, package, made),
            age.identity(store.provider, prints_name(handover)),
        )
        gathered, prints, whole = _changed(connection, seen, order.part_parcels, last)
        left = last.gone()
        files = {**gathered.files(), GONE: _parquet(left)}
        said = manifest_of(connection, store, order, gathered, files, now)
        lost = {one["values"]: one["counts"] for one in left["table"].value_counts().to_pylist()}
        said |= {"base": made.digest, "number": number, "gone": dict(sorted(lost.items()))}
        sealed = seal(store, order, said, files)
        kept = prints.sealed(age.recipient(store.provider, prints_name(handover)))
        delta = Delta(
            number,
            hashlib.sha256(sealed).hexdigest(),
            path.name,
            gathered.counts,
            said["gone"],
            taken_out,
            whole,
            hashlib.sha256(kept).hexdigest(),
            str(said["root"]),
        )
        state.note(connection, handover, "delta", str(number), asdict(delta), now)
        write_whole(_numbered(package, number), kept)
        if order.form == "xlsx":
            write_whole(form_path(path), blank_form(said))
        write_whole(path, sealed)
    return delta


def _due(connection: Connection, order: Order) -> Packaged:
    made = packaged(connection, order.handover)
    if made is None:
        raise HandoverRefused("transfer.not_packaged")
    known = state.load(connection, order.handover)
    check_order(connection, known, order)
    if known.state not in ("received", "reconciled"):
        raise HandoverRefused("transfer.no_delta_now", state=known.state)
    if not is_frozen(connection, order.handover):
        raise HandoverRefused("transfer.not_frozen")
    waiting = unanswered(connection, order.handover)
    if waiting:
        raise HandoverRefused("transfer.delta_unanswered", number=waiting[0])
    return made


def _changed(
    connection: Connection, seen: Seen, part_parcels: int, last: Before
) -> tuple[Gathered, Prints, dict[str, int]]:
    """Return what changed, fingerprints of everything, and how many rows everything is."""
    gathered, prints = Gathered(), Prints()
    whole = dict.fromkeys(TABLES, 0)
    parts = gather(connection, seen, part_parcels)
    for part in range(parts):
        tables = read_part(connection, seen, part)
        prints.add(tables)
        chosen = {name: last.changed(name, tables[name]) for name in TABLES}
        gathered.add(_whose(tables, chosen))
        for name in TABLES:
            whole[name] += tables[name].num_rows
    return gathered, prints, whole


def _whose(tables: dict[str, pa.Table], chosen: dict[str, npt.NDArray[Any]]) -> dict[str, pa.Table]:
    """Return the chosen rows; whose they are and what they wait for comes with them."""
    # A slip goes with its parcel: the buyer makes the parcel's token from the number on it.
    waiting = pc.is_in(tables["parcel"]["waybill"], tables["custody"]["waybill"])
    slips = tables["custody"].filter(pa.array(chosen["custody"]))["waybill"]
    of_slips = pc.is_in(tables["parcel"]["waybill"], slips)
    chosen["parcel"] = chosen["parcel"] | _plain(of_slips)
    sent = tables["parcel"].filter(pa.array(chosen["parcel"] & _plain(waiting)))["waybill"]
    chosen["custody"] = chosen["custody"] | _plain(pc.is_in(tables["custody"]["waybill"], sent))
    person = chosen["person"]
    for name in TABLES[1:]:
        who = tables[name].filter(pa.array(chosen[name]))["person"].drop_null()
        person = person | _plain(pc.is_in(tables["person"]["person"], who))
    chosen["person"] = person
    return {name: tables[name].filter(pa.array(chosen[name])) for name in TABLES}


def _plain(mask: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask)


def _prints_of(connection: Connection, order: Order, package: Path, made: Packaged) -> bytes:
    later = deltas(connection, order.handover)
    path = _numbered(package, len(later)) if later else prints_path(package)
    wanted = later[-1]["prints"] if later else made.prints
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise HandoverRefused("transfer.prints_lost", file=path.name)
    return path.read_bytes()


def _numbered(package: Path, number: int) -> Path:
    first = prints_path(package)
    return first.with_name(f"{first.name}-{number}")


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _same(made: list[dict[str, Any]], path: Path) -> Delta | None:
    """Return the last delta when ``path`` is its file."""
    if not made or made[-1]["file"] != path.name or not path.is_file():
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != made[-1]["digest"]:
        raise HandoverRefused("transfer.package_lost", file=path.name)
    return Delta(**made[-1])
