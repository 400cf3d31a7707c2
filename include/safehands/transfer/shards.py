"""A package made in shards: parts are re-keyed side by side, on as many workers as there are.

A shard is one part of the people who move (``rows.gather``): those whose number's token falls into
it, with all that hangs on them. Each is read in a snapshot of its own, opened, named anew and left
encrypted under a key of this run. Sealing is one transaction under the owner's lock
(:mod:`safehands.transfer.package`): it takes a shard only if the very rows that made it are what
the store holds then, by their digest, and reads every other part anew. So the package is the same
whether shards were made before or not, and whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection

from safehands.artifacts import read_artifact, remove_artifacts, write_artifact
from safehands.datasets import Artifact
from safehands.errors import HandoverRefused, StepFailed
from safehands.handover import state
from safehands.handover.approvals import check_standing
from safehands.keys import RunKey
from safehands.keys.pairing import PairKey
from safehands.keys.provider import KeyProvider
from safehands.store import Store
from safehands.store.register import Owner, open_ring
from safehands.transfer.contents import SCHEMAS, TABLES
from safehands.transfer.order import Order, check_closing, check_order
from safehands.transfer.papers import require
from safehands.transfer.rows import (
    Seen,
    list_part,
    part_digest,
    parts_of,
    read_part,
)

__all__ = ["HandoverShard", "Ready", "end_shards", "rekey", "run_key", "shards_key", "shards_of"]


@dataclass(frozen=True)
class HandoverShard:
    """One part of a hand-over, and after ``rekey`` what was made of it.

    ``digest``: of the rows that were read; ``artifacts``: per table of a package. It holds numbers,
    digests and counts, so it may travel between tasks.
    """

    handover: str
    part: int
    parts: int
    digest: str = ""
    artifacts: Mapping[str, Artifact] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the plain form that travels."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> HandoverShard:
        """Return the shard of ``as_dict``'s plain form."""
        made = {k: Artifact(**v) for k, v in (plain.get("artifacts") or {}).items()}
        return cls(**{**plain, "artifacts": made or None})


class Ready:
    """Shards that were re-keyed before the package is sealed."""

    def __init__(self, shards: Iterable[HandoverShard], key: RunKey) -> None:
        self._of = {one.part: one for one in shards if one.artifacts}
        self._key = key
        self.used = 0

    def tables(
        self, connection: Connection, seen: Seen, part: int, parts: int
    ) -> dict[str, pa.Table] | None:
        """Return the tables of a part, ``None`` when its rows are not those it was made of.

        ``gather`` must have listed who moves. A file that is gone, another, or of a run whose key
        was destroyed counts as none: the rows are in the store.
        """
        shard = self._of.get(part)
        if shard is None or shard.parts != parts or shard.artifacts is None:
            return None
        if part_digest(connection, seen, part, parts) != shard.digest:
            return None
        try:
            found = {name: _read(shard.artifacts[name], name, self._key) for name in TABLES}
        except (StepFailed, OSError, pa.ArrowException):
            return None
        self.used += 1
        return found


def shards_of(store: Store, order: Order, day: date) -> list[HandoverShard]:
    """Return the shards of an approved hand-over; none once it is packaged.

    Raises ``HandoverRefused`` while it is not approved or evidence of closing is missing, before
    the day of closing, for another order than was approved, and when its mode moves nothing: no
    record is opened for a package that must not be.
    """
    seller = order.seller
    with store.begin(controller=seller.id) as connection:
        known = state.load(connection, order.handover)
        path = state.PATHS[known.mode]
        if "packaged" in path and known.state in path[path.index("packaged") :]:
            return []
        _check(connection, known)
        check_order(connection, known, order)
        check_closing(known, day)
        numbers = [seller.stations[code] for code in order.stations]
        parts = parts_of(connection, numbers, order.part_parcels)
    return [HandoverShard(str(order.handover), part, parts) for part in range(parts)]


def rekey(
    store: Store,
    seller: Owner,
    stations: tuple[str, ...],
    shard: HandoverShard,
    folder: Path,
    key: RunKey,
) -> HandoverShard:
    """Open one shard's rows, name them anew and write them to ``folder`` under the run's key.

    Nothing in the store changes; made twice, it is read twice. Raises ``HandoverRefused`` as
    ``shards_of`` does: an approval may be taken back while other shards are made.
    """
    handover = UUID(shard.handover)
    with store.begin(controller=seller.id, snapshot=True) as connection:
        known = state.load(connection, handover)
        _check(connection, known)
        ring = open_ring(connection, store.provider, seller)
        names = PairKey(store.provider, str(handover))
        numbers = {seller.stations[code]: code for code in stations}
        seen = Seen(handover, numbers, ring, names, known.mode == "asset_deal")
        list_part(connection, seen, shard.part, shard.parts)
        digest = part_digest(connection, seen, shard.part, shard.parts)
        tables = read_part(connection, seen, shard.part)
    made = {
        name: write_artifact(tables[name], folder, f"{shard.part:03d}-{name}", key)
        for name in TABLES
    }
    return HandoverShard(shard.handover, shard.part, shard.parts, digest, made)


def run_key(provider: KeyProvider, handover: UUID) -> RunKey:
    """Return the key of a hand-over's shards, made by the first use; ``end_shards`` destroys it."""
    return RunKey(f"handover-{handover}", provider.create(shards_key(handover)))


def end_shards(provider: KeyProvider, handover: UUID, folder: Path) -> bool:
    """Destroy the key of the shards and remove their files; return whether there was a key."""
    ended = provider.destroy(shards_key(handover))
    remove_artifacts(folder)
    return ended


def shards_key(handover: UUID) -> str:
    """Return the name of the shards' key in the provider."""
    return f"run/handover-{handover}"


def _check(connection: Connection, known: state.Handover) -> None:
    """Raise ``HandoverRefused`` unless a package may be made now."""
    if "packaged" not in state.PATHS[known.mode]:
        raise HandoverRefused("transfer.nothing_moves")
    if state.following(known.mode, known.state) != "packaged":
        raise HandoverRefused("handover.not_next", state=known.state, to="packaged")
    check_standing(connection, known.id)
    require(connection, known, "closing_evidence")


def _read(artifact: Artifact, name: str, key: RunKey) -> pa.Table:
    return read_artifact(artifact, key).cast(SCHEMAS[name]).combine_chunks()
