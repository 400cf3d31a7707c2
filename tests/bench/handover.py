"""``python tests/bench/handover.py``: a station changes hands, from the package to the proof.

People and parcels are written by the same columns as a night's into the embedded PostgreSQL (the
filling is not timed); everybody has agreed. Timed: package (door, opened, renamed, sealed), receive
(new keys, read back), receipt, reconcile, both stock-takes and the evidence bundle, cut-over with
the erasure; apart from these the new epoch, backup and proof after it, which are the night's. Fails
when a row is missing anywhere or a token is common.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "transfer"))

import numpy as np
import pyarrow as pa
from sqlalchemy import text
from transfer_world import Deal, deal_of

from minimised import SCHEMAS, World
from nights import BUSINESS_DATE, NOW
from safehands import embedded
from safehands.artifacts import write_artifact
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.installation import open_installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.purge.months import settle_load
from safehands.settings import Settings

FIRST_PHONE = 13_800_000_000


def main() -> None:
    """Run the bench and print its figures; exit 1 when it took longer than ``--limit``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--limit", type=float, default=None, help="seconds, for --check")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-") as folder:
        home = Path(folder) / "home"
        try:
            found = _bench(options.parcels, options.people, home)
        finally:
            embedded.remove(embedded.Place(home))
    print(json.dumps(found, indent=2))  # noqa: T201
    if options.limit is not None and found["moved_to_erased_seconds"] > options.limit:
        sys.exit(1)


def _bench(parcels: int, people: int, home: Path) -> dict[str, Any]:
    settings = Settings.read({}, home=str(home), lang="en", workers="2")
    inst = open_installation(settings, lambda: NOW)
    night = Night("bench", BUSINESS_DATE, settings, inst.policy, RunKey("t", b"k" * 32))
    world = World(inst.store, night, NOW)
    seconds = {"(fill the seller)": _timed(lambda: _fill(world, parcels, people))}
    settle_load(world.store)
    deal = deal_of(world, home / "package.age")
    _approve(deal)
    before = _tokens(deal, "A")
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("package", deal.package),
        ("receive", deal.receive),
        ("receipt", deal.accept),
        ("reconcile", deal.reconcile),
        ("freeze, stock-take, bundle", deal.ready),
        ("cut over and erase", deal.cut_alone),
    )
    seconds |= {name: _timed(work) for name, work in steps}
    moved = sum(value for name, value in seconds.items() if name[0] != "(")
    seconds["(epoch, backup, proof)"] = _timed(deal.finish)
    after = _tokens(deal, "B")
    left = {t: _count(deal, t, "A") for t in ("subject", "parcel", "custody", "preference")}
    there = {t: _count(deal, t, "B") for t in left}
    wanted = {"subject": people, "parcel": parcels}
    common = len(before & after)
    if any(left.values()) or {t: there[t] for t in wanted} != wanted or common:
        raise SystemExit(f"no parity: {left} {there} common {common}")
    inst.close()
    return {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "people": people,
        "parcels": parcels,
        "package_megabytes": round(deal.path.stat().st_size / 1e6, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "seconds": seconds,
        "moved_to_erased_seconds": round(moved, 1),
        "with_proof_seconds": round(moved + seconds["(epoch, backup, proof)"], 1),
        "left_at_the_seller": left,
        "at_the_buyer": there,
        "tokens_in_common": common,
    }


def _timed(work: Callable[[], object]) -> float:
    begun = monotonic()
    work()
    return round(monotonic() - begun, 2)


def _fill(world: World, parcels: int, people: int) -> None:
    """Load shards of at most 250,000 parcels at A1, spread over sixty days; 3 % wait."""
    for start in range(0, parcels, 250_000):
        count = min(250_000, parcels - start)
        table = _table(start, count, people)
        artifact = write_artifact(table, world.night.work, "parcels", world.night.key)
        files = (SourceFile("A1", f"A1/{start}.csv", 1, f"{start:064x}"),)
        shard = Shard(f"A-{start}", "A", files)
        world.write(Handoff(world.night.run, "minimise", shard, artifacts={"parcels": artifact}))


def _table(start: int, count: int, people: int) -> pa.Table:
    number = np.arange(start, start + count)
    who = number % people
    day = np.datetime64(BUSINESS_DATE - timedelta(days=59), "us")
    arrived = day.astype(np.int64) + (number * 7919 % (50 * 86_400)) * 1_000_000
    waits = number % 33 == 0
    names = [f"王{chr(0x4E00 + n % 5000)}{chr(0x5000 + n % 4000)}" for n in range(people)]
    text_of = pa.array(np.char.mod("W%09d", number))
    columns: dict[str, Any] = {
        "_file": np.zeros(count, np.int32),
        "waybill_no": text_of,
        "carrier": np.ones(count, np.int16),
        "receiver_phone": pa.array([str(FIRST_PHONE + n) for n in who.tolist()]),
        "receiver_name": pa.array([names[n] for n in who.tolist()]),
        "receiver_address": pa.nulls(count, pa.string()),
        "district": np.full(count, 440305, np.int32),
        "pickup_code": pa.array(["7-1-2" if w else None for w in waits.tolist()]),
        "shelf": pa.array(["A7" if w else None for w in waits.tolist()]),
        "in_custody": waits,
        "status": np.where(waits, 1, 2).astype(np.int16),
        "weight_band": np.ones(count, np.int16),
        "tags": np.zeros(count, np.int16),
        "arrived_at": pa.array(arrived, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "collected_at": pa.array(arrived + 3_600_000_000, pa.int64(), mask=waits).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    schema = SCHEMAS["parcels"]
    arrays = [
        c if isinstance(c, pa.Array) else pa.array(c, f.type)
        for f, c in ((field, columns[field.name]) for field in schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _approve(deal: Deal) -> None:
    deal.approved({})
    owner = deal.world.owner().id
    with deal.world.store.begin(controller=owner) as connection:
        values = {"id": deal.id, "owner": owner}
        connection.execute(text(_LIST), values)
    deal.say_yes()
    with deal.world.store.admin().connect() as connection:
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        autocommit.execute(text("ANALYZE handover_subject, consent_event"))


def _tokens(deal: Deal, code: str) -> set[Any]:
    owner = deal.world.owner(code).id
    with deal.world.store.begin(controller=owner) as connection:
        rows = connection.execute(text(_TOKENS)).scalars()
        return set(rows)


def _count(deal: Deal, table: str, code: str) -> int:
    owner = deal.world.owner(code).id
    with deal.world.store.begin("safehands_backup") as connection:
        query = text(f"SELECT count(*) FROM {table} WHERE controller_id = :owner")
        return int(connection.execute(query, {"owner": owner}).scalar_one())


_LIST = "INSERT INTO handover_subject SELECT :id, :owner, subject_id, 'transferred' FROM subject"
_TOKENS = (
    "SELECT subject_id FROM subject UNION ALL SELECT lookup FROM subject"
    " UNION ALL SELECT waybill FROM parcel"
)

if __name__ == "__main__":
    main()
