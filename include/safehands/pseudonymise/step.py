"""One shard into the store, in one transaction: people, parcels, preferences and all evidence.

Nothing of a shard is in the store before its commit and everything after it: batches, quarantine,
quality results, what each step did, the claim and the ledger entries go in together. A night that
is killed at any moment and run again therefore finds the shard either untouched or done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from safehands.artifacts import read_artifact
from safehands.datasets import Handoff
from safehands.keys import KeyRing
from safehands.night import SHANGHAI, Night
from safehands.pseudonymise import evidence, listing, load, parcels, people, vault
from safehands.pseudonymise.answers import honour
from safehands.pseudonymise.corrected import Corrected, corrected_for
from safehands.pseudonymise.returned import without_unopened
from safehands.pseudonymise.undated import dated
from safehands.store import Store, driver, lock
from safehands.store.bulk import INFINITY
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.register import Owner, open_ring, owners
from safehands.vault.restrict import kept_out, parcels_kept_out

__all__ = ["Check", "claim_of", "pseudonymise"]

Check = Callable[[pa.Table], list[dict[str, Any]]]
"""Judges the pseudonymised rows before they are written; raises when a critical rule fails."""

_EMPTY = {"parcels": None, "customers": None, "preferences": None}


@dataclass(frozen=True)
class _Work:
    handoff: Handoff
    night: Night
    owner: Owner
    ring: KeyRing
    now: datetime


def claim_of(handoff: Handoff, policy_digest: str) -> Claim:
    """Return the claim of a shard: its files' digests under this policy."""
    files = sorted((f.station, f.identity) for f in handoff.shard.files)
    return Claim("pseudonymise", handoff.shard.controller, input_digest(files), policy_digest)


def pseudonymise(
    handoff: Handoff, night: Night, store: Store, now: datetime, check: Check
) -> Handoff:
    """Write one shard into the store and return what was done.

    Counts: ``in``, ``out`` (parcels in the store after it), ``new``, ``changed``, ``unchanged``,
    ``duplicates``, ``erased_before`` (rows of people removed earlier, kept out), ``people`` and
    ``new_people``; ``restricted_before`` where rows of restricted people, or of parcels that are
    stored only, were kept out (PIPL 47 ¶2); ``corrected_before`` rows that show a number which was
    corrected away and went to the corrected person (PIPL 46).

    Raises ``KeyProblem`` before anything is written, and what ``check`` raises.
    """
    owner = owners(store)[handoff.shard.controller]
    claim = claim_of(handoff, night.policy.digest)
    tables = _read(handoff, night)
    if tables["parcels"] is not None:
        load.months(store, parcels.micros(tables["parcels"]["arrived_at"], 0))
    with store.begin(controller=owner.id) as connection:
        # Shards of one owner write one after the other: they share people.
        lock(connection, f"safehands.controller.{owner.id}")
        done = find(connection, claim)
        if done is not None:
            return handoff.then("pseudonymise", counts=done["counts"], details={"already": True})
        work = _Work(handoff, night, owner, open_ring(connection, store.provider, owner), now)
        counts, quality = _write(connection, work, tables, check)
        result = handoff.then("pseudonymise", counts=counts, seconds=night.elapsed())
        make(connection, claim, {"counts": counts})
        evidence.record(connection, store.provider, result, night, owner, now, quality)
    return result


def _read(handoff: Handoff, night: Night) -> dict[str, pa.Table | None]:
    found = {k: read_artifact(a, night.key) for k, a in handoff.artifacts.items() if k in _EMPTY}
    return {**_EMPTY, **found}


def _write(
    connection: Connection, work: _Work, tables: dict[str, pa.Table | None], check: Check
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    batches = evidence.open_batches(connection, work.handoff, work.night, work.owner)
    rows = sum(t.num_rows for t in tables.values() if t is not None)
    corrected = corrected_for(connection, work.ring, tables)
    kept = dated(connection, work.ring, corrected.tables, work.night.business_date)
    graves = _graves(connection)
    kept, older = _without(kept, graves, work)
    kept, unopened = without_unopened(connection, work.ring, kept)
    erased = older + unopened
    kept, restricted = _without(kept, kept_out(connection, work.ring), work)
    if kept["parcels"] is not None:
        free, stored = _without_stored(connection, work, kept["parcels"])
        kept, restricted = {**kept, "parcels": free}, restricted + stored
    seen = _sightings(work.night, kept)
    folk = people.segments(seen, work.night.policy.reissue_after_days * 86_400_000_000)
    held = _vault(connection, work, folk, seen, corrected)
    counts = {"in": rows, "erased_before": erased, "people": len(set(held.ids))}
    counts["new_people"] = len(held.new)
    if restricted:
        counts["restricted_before"] = restricted
    if corrected.rows:
        counts["corrected_before"] = corrected.rows
    quality: list[dict[str, Any]] = []
    if kept["parcels"] is not None:
        part = folk.of_sighting[: kept["parcels"].num_rows]
        loaded, quality = _parcels(connection, work, kept["parcels"], held, part, batches, check)
        counts |= loaded
    if kept["preferences"] is not None:
        part = folk.of_sighting[len(folk.of_sighting) - kept["preferences"].num_rows :]
        counts["preferences"] = load.preferences(
            connection,
            work.owner.id,
            kept["preferences"],
            held.ids,
            part,
            batches,
            _start(work.night),
            work.night.business_date,
        )
    if stopped := honour(connection, work.night):
        counts["consent_ended"] = stopped
    if listed := _list_people(connection, work, kept, folk, held):
        counts["listed"] = counts.get("listed", 0) + listed
    return counts, quality


def _list_people(
    connection: Connection,
    work: _Work,
    tables: dict[str, pa.Table | None],
    folk: people.People,
    held: vault.Vault,
) -> int:
    """Remember whom full exports of customers and preferences list."""
    start, listed = 0, 0
    for name, table in tables.items():
        rows = 0 if table is None else table.num_rows
        full = listing.full_files(connection, work.handoff.shard, work.owner, name)
        if table is not None and rows and name != "parcels" and full.any():
            subjects = load.subjects_of(held.ids, folk.of_sighting[start : start + rows])
            files = table["_file"].to_numpy()
            where = (_stations(work)[files], full[files])
            listed += listing.remember(connection, work.night, work.owner, name, subjects, *where)
        start += rows
    return listed


def _vault(
    connection: Connection,
    work: _Work,
    folk: people.People,
    seen: people.Sightings,
    corrected: Corrected,
) -> vault.Vault:
    policy = work.night.policy
    horizon = _micros(work.night.horizon(policy.keep_days("contact_detail")))
    held = vault.reconcile(
        connection,
        work.ring,
        folk,
        seen,
        horizon=horizon,
        reissue_days=policy.reissue_after_days,
        corrected=corrected.lookups,
    )
    vault.write(connection, work.ring, work.owner.id, held, folk, work.night.business_date)
    return held


def _parcels(
    connection: Connection,
    work: _Work,
    table: pa.Table,
    held: vault.Vault,
    of_row: npt.NDArray[np.int64],
    batches: npt.NDArray[np.int32],
    check: Check,
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    whole = parcels.from_table(table, work.ring)
    reuse_days = work.night.policy.waybill_reuse_days
    stations = _stations(work)
    rivals = (stations[whole.file], load.people_of(held, of_row))
    keep = parcels.take(whole, parcels.merged(whole, reuse_days * 86_400_000_000, *rivals))
    subjects = load.subjects_of(held.ids, of_row[keep.row])
    quality = check(load.as_table(keep, subjects, work.owner.id, stations))
    counts = load.parcels(
        connection,
        work.owner.id,
        keep,
        subjects,
        stations[keep.file],
        batches[keep.file],
        reuse_days,
        work.night.business_date,
    )
    held_by = load.Holders(work.ring, held, of_row)
    load.custody(connection, work.owner.id, keep, table, held_by, reuse_days)
    full = listing.full_files(connection, work.handoff.shard, work.owner, "parcels")[keep.file]
    where = (stations[keep.file], full)
    listed = listing.remember(connection, work.night, work.owner, "parcels", keep.waybill, *where)
    counts |= {"listed": listed} if listed else {}
    return {**counts, "duplicates": table.num_rows - len(keep)}, quality


def _stations(work: _Work) -> npt.NDArray[np.int32]:
    ids = [work.owner.stations[f.station] for f in work.handoff.shard.files]
    return np.array(ids, dtype=np.int32)


def _sightings(night: Night, tables: dict[str, pa.Table | None]) -> people.Sightings:
    """Put parcels, customers and preferences into one list of sightings, in this order."""
    start = _start(night)
    present = ((name, table) for name, table in tables.items() if table is not None)
    return people.gather([_PART[name](table, start) for name, table in present])


def _parcel_part(table: pa.Table, start: int) -> dict[str, Any]:  # noqa: ARG001 - one shape
    collected = parcels.micros(table["collected_at"], INFINITY)
    arrived = parcels.micros(table["arrived_at"], 0)
    # A returned or lost parcel is active until it arrived; one in custody without end.
    waiting = table["in_custody"].to_numpy()
    active = np.where(collected != INFINITY, collected, np.where(waiting, INFINITY, arrived))
    return {
        "phone": table["receiver_phone"],
        "name": table["receiver_name"],
        "address": table["receiver_address"],
        "at": arrived,
        "active": active,
    }


def _customer_part(table: pa.Table, start: int) -> dict[str, Any]:
    at = parcels.micros(table["updated_at"], start)
    return {
        "phone": table["receiver_phone"],
        "name": table["receiver_name"],
        "address": table["receiver_address"],
        "at": at,
        "active": at,
    }


def _preference_part(table: pa.Table, start: int) -> dict[str, Any]:
    at = parcels.micros(table["updated_at"], start)
    nothing = pa.nulls(table.num_rows, pa.string())
    phone = table["receiver_phone"]
    return {"phone": phone, "name": nothing, "address": nothing, "at": at, "active": at}


_PART: dict[str, Callable[[pa.Table, int], dict[str, Any]]] = {
    "parcels": _parcel_part,
    "customers": _customer_part,
    "preferences": _preference_part,
}
_TIME_COLUMN = {"parcels": "arrived_at", "customers": "updated_at", "preferences": "updated_at"}


def _without(
    tables: dict[str, pa.Table | None], ends: dict[bytes, int], work: _Work
) -> tuple[dict[str, pa.Table | None], int]:
    """Keep out rows of people who were removed or restricted, unless the row is later."""
    if not ends:
        return tables, 0
    kept: dict[str, pa.Table | None] = {}
    removed = 0
    for name, table in tables.items():
        kept[name] = table
        if table is not None:
            alive = _alive(table, _TIME_COLUMN[name], ends, work)
            kept[name] = table.filter(pa.array(alive))
            removed += int(table.num_rows - alive.sum())
    return kept, removed


def _without_stored(connection: Connection, work: _Work, table: pa.Table) -> tuple[pa.Table, int]:
    """Keep out parcels that are stored only, whatever number the row shows by now."""
    stored = parcels_kept_out(connection)
    if not stored:
        return table, 0
    tokens = work.ring.waybills(table["carrier"].to_numpy(), table["waybill_no"]).tolist()
    arrived = parcels.micros(table["arrived_at"], 0).tolist()
    reuse = work.night.policy.waybill_reuse_days * 86_400_000_000
    alive = [
        all(abs(at - then) >= reuse for then in stored.get(token, ()))
        for token, at in zip(tokens, arrived, strict=True)
    ]
    return table.filter(pa.array(alive, pa.bool_())), len(alive) - sum(alive)


def _graves(connection: Connection) -> dict[bytes, int]:
    query = "SELECT token, (extract(epoch FROM erased_at) * 1000000)::int8 FROM tombstone"
    rows: Any = driver(connection).cursor(binary=True).execute(query)
    return {token.bytes: at for token, at in rows}


def _alive(
    table: pa.Table, column: str, graves: dict[bytes, int], work: _Work
) -> npt.NDArray[np.bool_]:
    encoded = table["receiver_phone"].combine_chunks().dictionary_encode()
    tokens = work.ring.tombstones("mobile", encoded.dictionary.to_pylist())
    ends = [graves.get(token, -1) for token in tokens.tolist()]
    index = encoded.indices.fill_null(len(ends)).to_numpy(zero_copy_only=False)
    end = np.array([*ends, -1], dtype=np.int64)[index]
    # A row without a date can't show that it is later.
    alive: npt.NDArray[np.bool_] = parcels.micros(table[column], 0) > end
    return alive


def _start(night: Night) -> int:
    """Return the first instant of the business date: when an undated row was seen."""
    return _micros(datetime.combine(night.business_date, time(), SHANGHAI))


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
