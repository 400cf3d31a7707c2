"""Who of a package the buyer knows already, whom it must keep out, and who is new."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.store import driver
from safehands.store.bulk import copy_in
from safehands.transfer.temporary import fresh
from safehands.vault.record import opened, was_called

__all__ = ["People", "sort_people"]

_DAY = 86_400_000_000


@dataclass
class People:
    """The package's people at the buyer, in the package's order.

    ``ids``: the buyer's subject id; empty for whom the buyer keeps out, because they had
    themselves erased there (tombstone) or are restricted. ``joined``: whom it knew.
    """

    names: list[bytes]
    ids: list[bytes]
    graves: npt.NDArray[np.void]
    lookups: npt.NDArray[np.void]
    generations: list[int]
    joined: list[int] = field(default_factory=list)
    kept_out: list[int] = field(default_factory=list)

    @property
    def new(self) -> list[int]:
        """Positions of people the buyer did not know."""
        others = set(self.joined) | set(self.kept_out)
        return [i for i in range(len(self.ids)) if i not in others]

    def id_of(self) -> dict[bytes, bytes]:
        """Return the buyer's id by the package's name; none for whom is kept out."""
        return {name: one for name, one in zip(self.names, self.ids, strict=True) if one}


def sort_people(
    connection: Connection, ring: KeyRing, table: pa.Table, reissue_days: int
) -> People:
    """Match the people of a package with the buyer's by number, name and time.

    The connection sees restricted people too. A holder of the same number is the same person when
    the sightings are less than ``reissue_days`` apart or the name is the same (as in a load).
    """
    names, phones = table["person"].to_pylist(), table["phone"].to_pylist()
    graves = ring.tombstones("mobile", phones)
    lookups = ring.lookups_of(graves)
    people = People(names, list(names), graves, lookups, [0] * len(names))
    known, tombs = _known(connection, lookups), _tombstones(connection, graves)
    first = table["first_seen"].cast(pa.int64()).to_pylist()
    last = table["last_seen"].cast(pa.int64()).to_pylist()
    called = table["name"].to_pylist()
    taken: dict[bytes, int] = {}
    for i in sorted(range(len(names)), key=lambda n: (first[n], names[n])):
        lookup = lookups[i].tobytes()
        holders = known.get(lookup, [])
        if tombs.get(graves[i].tobytes(), -1) >= last[i] or any(h.restricted for h in holders):
            people.kept_out.append(i)
            people.ids[i] = b""
            continue
        same = _same(holders, ring, called[i], (first[i], last[i]), reissue_days * _DAY)
        if same is not None:
            people.joined.append(i)
            people.ids[i], people.generations[i] = same.subject, same.generation
            continue
        top = max((h.generation for h in holders), default=-1)
        people.generations[i] = taken.get(lookup, top) + 1
        taken[lookup] = people.generations[i]
    return people


@dataclass(frozen=True)
class _Holder:
    subject: bytes
    generation: int
    wrapped: bytes
    sealed: bytes
    first: int
    last: int
    restricted: bool


def _same(
    holders: list[_Holder], ring: KeyRing, name: str, span: tuple[int, int], reissue: int
) -> _Holder | None:
    first, last = span
    near = sorted(holders, key=lambda h: max(h.first - last, first - h.last, 0))
    for holder in near:
        if max(holder.first - last, first - holder.last) <= reissue:
            return holder
        (secret,) = ring.unwrap_salts([holder.subject], [holder.wrapped])
        (plain,) = ring.unseal("person", [holder.subject], [secret[:16]], [holder.sealed])
        if was_called(opened(plain), name):
            return holder
    return None


def _known(connection: Connection, lookups: npt.NDArray[np.void]) -> dict[bytes, list[_Holder]]:
    _sought(connection, "sought", lookups)
    found: dict[bytes, list[_Holder]] = {}
    cursor: Any = driver(connection).cursor(binary=True)
    for lookup, subject, *rest in cursor.execute(_HOLDERS):
        found.setdefault(lookup.bytes, []).append(_Holder(subject.bytes, *rest))
    return found


def _tombstones(connection: Connection, graves: npt.NDArray[np.void]) -> dict[bytes, int]:
    _sought(connection, "buried", graves)
    rows = connection.execute(text(_TOMBS))
    return {token.bytes: int(at) for token, at in rows}


def _sought(connection: Connection, name: str, values: npt.NDArray[np.void]) -> None:
    raw = driver(connection)
    fresh(raw, name, "token uuid")
    copy_in(raw, f"{name} (token)", [("uuid", values)])
    raw.execute(f"ANALYZE {name}".encode())


_HOLDERS = (
    "SELECT DISTINCT s.lookup, s.subject_id, s.generation, s.wrapped_salt, s.sealed,"
    " (extract(epoch FROM s.first_seen) * 1000000)::int8,"
    " (extract(epoch FROM s.last_seen) * 1000000)::int8, s.restricted"
    " FROM sought k JOIN subject s ON s.lookup = k.token"
    " WHERE s.controller_id = bound_controller()"
)
_TOMBS = (
    "SELECT DISTINCT t.token, (extract(epoch FROM t.erased_at) * 1000000)::int8"
    " FROM buried b JOIN tombstone t ON t.token = b.token"
    " WHERE t.controller_id = bound_controller()"
)
