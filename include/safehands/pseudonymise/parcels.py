"""The shard's parcels as columns: tokens instead of numbers, repeats merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safehands.keys import KeyRing
from safehands.store.bulk import INFINITY

__all__ = ["Parcels", "from_table", "merged", "micros", "take"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Parcels:
    """Columns of equal length. ``row`` is the position in the minimised table.

    ``waybill`` is ``V16``; times are microseconds since 1970 (UTC), ``INFINITY`` for a parcel not
    collected; ``file`` is the index of the shard's file.
    """

    row: Array
    waybill: Array
    file: Array
    arrived: Array
    collected: Array
    district: Array
    carrier: Array
    status: Array
    weight_band: Array
    tags: Array
    in_custody: Array

    def __len__(self) -> int:
        return len(self.row)


def micros(column: Any, missing: int) -> npt.NDArray[np.int64]:
    """Return a timestamp column as int64 microseconds, ``missing`` where it is null."""
    return np.asarray(column.cast(pa.int64()).fill_null(missing).to_numpy(), dtype=np.int64)


def from_table(table: pa.Table, ring: KeyRing) -> Parcels:
    """Tokenise the waybills of a minimised table; rows keep their order."""
    carrier = table["carrier"].to_numpy()
    return Parcels(
        row=np.arange(table.num_rows),
        waybill=ring.waybills(carrier, table["waybill_no"]),
        file=table["_file"].to_numpy(),
        arrived=micros(table["arrived_at"], 0),
        collected=micros(table["collected_at"], INFINITY),
        district=table["district"].to_numpy(),
        carrier=carrier,
        status=table["status"].to_numpy(),
        weight_band=table["weight_band"].to_numpy(),
        tags=table["tags"].to_numpy(),
        in_custody=table["in_custody"].to_numpy(),
    )


def take(parcels: Parcels, positions: Array) -> Parcels:
    """Return the parcels at ``positions``, in that order."""
    return Parcels(*(getattr(parcels, name)[positions] for name in Parcels.__match_args__))


def merged(parcels: Parcels, reuse_micros: int, stations: Array, people: Array) -> Array:
    """Return the positions to keep, in token order: of repeats the one that is known latest.

    "Latest" is the later of arrival and collection, then a collected row over one that is not,
    then the greater content: the same rows in another order give the same result. ``stations``
    (ids) and ``people`` (``V16``, the same for rows of one person) belong to the content.
    A number that arrives again ``reuse_micros`` or more later is no repeat but another parcel.
    """
    words = parcels.waybill.view(">u8").reshape(-1, 2)
    high = words[:, 0].astype(np.uint64)
    order = np.argsort(high, kind="stable")
    repeated = np.flatnonzero(high[order][1:] == high[order][:-1])
    if not len(repeated):
        return order
    return _without_repeats(parcels, _uses(parcels, words, reuse_micros), stations, people)


def _uses(parcels: Parcels, words: Array, reuse_micros: int) -> Array:
    """Number each row's use of its waybill; numbers follow token and time of arrival."""
    low, high = words[:, 1].astype(np.uint64), words[:, 0].astype(np.uint64)
    order = np.lexsort((parcels.arrived, low, high))
    high, low, arrived = high[order], low[order], parcels.arrived[order]
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    again[1:] &= arrived[1:] - arrived[:-1] < reuse_micros
    uses = np.empty(len(order), dtype=np.int64)
    uses[order] = np.cumsum(~again)
    return uses


def _without_repeats(parcels: Parcels, uses: Array, stations: Array, people: Array) -> Array:
    often = np.bincount(uses)[uses] > 1
    rows = np.flatnonzero(often)
    chosen = rows[_last_of_each(take(parcels, rows), uses[rows], stations[rows], people[rows])]
    kept: Array = np.concatenate([np.flatnonzero(~often), chosen])
    # Uses are numbered in token order.
    return kept[np.argsort(uses[kept])]


def _last_of_each(parcels: Parcels, uses: Array, stations: Array, people: Array) -> Array:
    done = parcels.collected != INFINITY
    known = np.where(done, np.maximum(parcels.arrived, parcels.collected), parcels.arrived)
    who = np.ascontiguousarray(people).view(">u8").reshape(-1, 2)
    content = (
        *(parcels.tags, parcels.weight_band, parcels.status, parcels.carrier, parcels.district),
        *(stations, parcels.collected, parcels.arrived),
    )
    order = np.lexsort((parcels.row, who[:, 1], who[:, 0], *content, done, known, uses))
    ends = np.append(uses[order][1:] != uses[order][:-1], True)[: len(order)]
    last: Array = order[ends]
    return last
