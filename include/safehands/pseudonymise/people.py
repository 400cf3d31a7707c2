"""Who is in a shard: one segment per person, found by columns.

A sighting is a row that shows a mobile number with a time, maybe a name and an address. Sightings
of one number form segments: a new one starts where a different name appears after a silence
longer than ``reissue_after_days``, because the carrier may have given the number to somebody
else. A name is compared with the last one given: a sighting without a name between the two does
not hide the change. A segment becomes, or joins, one generation of a subject.

Of a person's names, and of their addresses, the one that was said last stands; of two said at the
same moment the longer, of two equally long the later in code point order. So the order of rows, and
of shards (:mod:`safehands.pseudonymise.vault`), decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["NONE", "People", "Sightings", "gather", "segments", "weight"]

NONE = -1
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sightings:
    """Columns of equal length, one entry per row of the shard that shows a mobile number.

    ``phone``, ``name`` and ``address`` are positions in the dictionaries (``NONE``: not given);
    ``at`` and ``active`` are microseconds since 1970 (UTC): when it was, and until when the
    person's full contact is needed.
    """

    phone: Ints
    name: Ints
    address: Ints
    at: Ints
    active: Ints
    phones: list[str]
    names: list[str]
    addresses: list[str]


@dataclass(frozen=True)
class People:
    """One entry per segment, ordered by phone and time, plus each sighting's segment.

    ``name_at`` and ``address_at``: when the value was said (microseconds since 1970; 0: never).
    """

    phone: Ints
    first: Ints
    last: Ints
    active: Ints
    name: Ints
    address: Ints
    name_at: Ints
    address_at: Ints
    of_sighting: Ints


def gather(parts: list[dict[str, Any]]) -> Sightings:
    """Join the sightings of several tables.

    Each part has ``phone``, ``name``, ``address`` (Arrow string columns) and ``at``, ``active``
    (int64 arrays). Rows without a phone keep position ``NONE`` in ``phone``.
    """
    phone, phones = _encode([part["phone"] for part in parts])
    name, names = _encode([part["name"] for part in parts])
    address, addresses = _encode([part["address"] for part in parts])
    at, active = (_joined([part[name] for part in parts]) for name in ("at", "active"))
    return Sightings(phone, name, address, at, active, phones, names, addresses)


def weight(value: str) -> tuple[int, str]:
    """Return what decides between two values that were said at the same moment."""
    return len(value), value


def _joined(arrays: list[Ints]) -> Ints:
    # A shard whose files were all set aside has no sighting at all.
    return np.concatenate([np.empty(0, dtype=np.int64), *arrays])


def segments(seen: Sightings, reissue_micros: int) -> People:
    """Group sightings into segments. ``of_sighting`` is ``NONE`` where there is no phone."""
    order = np.lexsort((seen.at, seen.phone))
    order = order[np.searchsorted(seen.phone[order], 0) :]
    phone, at, name = seen.phone[order], seen.at[order], seen.name[order]
    starts = _starts(phone, at, name, reissue_micros)
    number = np.cumsum(starts) - 1
    of_sighting = np.full(len(seen.phone), NONE, dtype=np.int64)
    of_sighting[order] = number
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(order)) - 1 if len(first) else first
    named, name_at = _latest(number, name, at, len(first), seen.names)
    placed, address_at = _latest(number, seen.address[order], at, len(first), seen.addresses)
    return People(
        phone=phone[first],
        first=at[first],
        last=at[last],
        active=_max_per(number, seen.active[order], len(first)),
        name=named,
        address=placed,
        name_at=name_at,
        address_at=address_at,
        of_sighting=of_sighting,
    )


def _encode(columns: list[Any]) -> tuple[Ints, list[str]]:
    chunks = [chunk for column in columns for chunk in _chunks(column)]
    joined = pa.chunked_array(chunks, pa.string()).combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], pa.string())
    encoded = joined.dictionary_encode()
    index = encoded.indices.fill_null(NONE).to_numpy(zero_copy_only=False).astype(np.int64)
    return index, encoded.dictionary.to_pylist()


def _chunks(column: Any) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _starts(phone: Ints, at: Ints, name: Ints, reissue_micros: int) -> npt.NDArray[np.bool_]:
    starts = np.ones(len(phone), dtype=bool)
    if len(phone) > 1:
        person = phone[1:] != phone[:-1]
        silent = at[1:] - at[:-1] > reissue_micros
        before = _last_given(phone, name)[:-1]
        renamed = (name[1:] != before) & (name[1:] != NONE) & (before != NONE)
        starts[1:] = person | (silent & renamed)
    return starts


def _last_given(phone: Ints, name: Ints) -> Ints:
    """Return for each sighting the newest name given for its number so far."""
    given = np.maximum.accumulate(np.where(name != NONE, np.arange(len(name)), 0))
    return np.where(phone[given] == phone, name[given], NONE)


def _max_per(number: Ints, values: Ints, count: int) -> Ints:
    highest = np.full(count, np.iinfo(np.int64).min, dtype=np.int64)
    np.maximum.at(highest, number, values)
    return highest


def _latest(
    number: Ints, values: Ints, at: Ints, count: int, texts: list[str]
) -> tuple[Ints, Ints]:
    """Return each segment's last value that is given and when; sightings are in order of time."""
    latest = np.full(count, NONE, dtype=np.int64)
    when = np.zeros(count, dtype=np.int64)
    given = values != NONE
    number, values, at = number[given], values[given], at[given]
    # NumPy keeps the last of several values assigned to one position.
    latest[number] = values
    when[number] = at
    rivals = np.flatnonzero((at == when[number]) & (values != latest[number]))
    for segment, value in zip(number[rivals].tolist(), values[rivals].tolist(), strict=True):
        if weight(texts[value]) > weight(texts[latest[segment]]):
            latest[segment] = value
    return latest, when
