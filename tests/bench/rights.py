"""Seconds of requests: one access, one deletion, a thousand deletions, in a store of a chain.

``python tests/bench/rights.py --people 1000000 --parcels 10000000``. People and slips are sealed
with real keys; parcels of a year lie in their months, ten a person; rows of thirty days wait in
quarantine, and every request opens them. An access request is
everything from the registered request to the encrypted answer on disk, in a warm process; under a
passphrase age itself spends about a second of processor time on scrypt, on purpose. A deletion
ends with the rows gone and the tombstone written; the epoch that follows is one a night, whatever
the number, and stands in ``tests/bench/keys.py`` as re-wrap.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import pyrage
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent))

import keys as base
from safehands import embedded
from safehands.daykeys import box_to_seal
from safehands.installation import Installation, open_installation
from safehands.rights.book import RightsBook, load_rights_book
from safehands.rights.bulk import Run, bulk
from safehands.rights.carry import Given, carry_out
from safehands.rights.decide import decide
from safehands.rights.identity import confirm
from safehands.rights.requests import register
from safehands.settings import Settings
from safehands.store.register import Owner

_BY = "bench"
_RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
_MONTHS = 12
_DAYS = 30
_RULE = "parcels.arrived_at.unreadable"


def main() -> None:
    """Run the bench and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--parcels", type=int, default=1_000_000)
    parser.add_argument("--quarantine", type=int, default=2_000, help="rows that wait")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-rights-", dir=options.dir) as folder:
        settings = Settings.read({}, home=str(Path(folder) / "home"), lang="en")
        try:
            found = _bench(settings, options, Path(folder))
        finally:
            embedded.remove(embedded.Place(settings.home))
    if options.json:
        print(json.dumps(found))  # noqa: T201
        return
    size = f"{options.people:,} people, {options.parcels:,} parcels"
    size += f", {options.quarantine:,} rows in quarantine"
    print(f"{size}, {platform.machine()}, {os.cpu_count()} cores")  # noqa: T201
    for name, seconds in found.items():
        print(f"  {name:<28} {seconds:>8.2f} s")  # noqa: T201


def _bench(settings: Settings, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    inst = open_installation(settings, base.now)
    try:
        begun = monotonic()
        owner, ids = _filled(inst, options.people, options.parcels)
        _set_aside(inst, owner, options.quarantine, options.people)
        found = {"making the store": monotonic() - begun}
        book = load_rights_book(settings.policy)
        # The tenth has a slip that is only as long as one, and nothing to read.
        _access(inst, book, ids[1], folder, 1)
        rounds = [_access(inst, book, ids[n], folder, n) for n in range(2, 7)]
        found["one access request"] = sorted(rounds)[2]
        rounds = [_access(inst, book, ids[n], folder, n, locked=True) for n in range(11, 14)]
        found["the same under a passphrase"] = sorted(rounds)[1]
        found["one deletion"] = _deletions(inst, book, owner, folder, range(10, 11))
        found["a thousand deletions"] = _deletions(inst, book, owner, folder, range(100, 1100))
        return {name: round(seconds, 3) for name, seconds in found.items()}
    finally:
        inst.close()


def _filled(inst: Installation, people: int, parcels: int) -> tuple[Owner, list[UUID]]:
    owner = base._owner(inst)
    with inst.store.begin(controller=owner.id) as connection:
        raw, _, _ = base._people(connection, inst, owner, people)
    with inst.store.admin().begin() as connection:
        for month in range(_MONTHS):
            first = date(2025 + (11 + month) // 12, (11 + month) % 12 + 1, 1)
            connection.execute(text("SELECT add_month(:month)"), {"month": first})
    share = max(1, parcels // _MONTHS)
    for month in range(_MONTHS):
        start = f"{2025 + (11 + month) // 12}-{(11 + month) % 12 + 1:02}-01 12:00+08"
        values = {"c": owner.id, "s": owner.stations["S1"], "n": share, "p": people, "at": start}
        values["o"] = month * share
        with inst.store.admin().begin() as connection:
            connection.execute(text(_PARCELS), values)
    with inst.store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    with inst.store.admin().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))
    return owner, [UUID(bytes=one) for one in raw]


def _set_aside(inst: Installation, owner: Owner, rows: int, people: int) -> None:
    """Seal rows of the last thirty days as the night does; they show numbers of known people."""
    values = {"c": owner.id, "s": owner.stations["S1"]}
    with inst.store.begin(controller=owner.id) as connection:
        batch = connection.execute(text(_BATCH), values).scalar_one()
        for back in range(_DAYS):
            day = base._DAY - timedelta(days=back)
            numbers = range(back, rows, _DAYS)
            plain = [
                json.dumps(
                    {
                        "waybill": f"W{n:012d}",
                        "receiver_name": "测试",
                        "receiver_phone": f"139{n * 7 % people:08d}",
                        "receiver_address": f"深圳市南山区试验路{n}号",
                        "arrived_at": "2026-13-45 25:61",
                    }
                ).encode()
                for n in numbers
            ]
            box = box_to_seal(inst.store.provider, _RULE, "S1", day.isoformat())
            lines = [
                {**values, "b": batch, "day": day, "row": n, "rule": _RULE, "sealed": sealed}
                for n, sealed in zip(numbers, box.seal(plain), strict=True)
            ]
            connection.execute(text(_ASIDE), lines)


def _access(
    inst: Installation,
    book: RightsBook,
    who: UUID,
    folder: Path,
    number: int,
    *,
    locked: bool = False,
) -> float:
    begun, now = monotonic(), base.now()
    draw = number.to_bytes(4, "big")
    request, _ = register(inst.store, book, "S", "access", who, _BY, now, draw)
    confirm(inst, book, request, "in_person", "", _BY)
    decide(inst, book, request, _BY, now, grant=True)
    done = carry_out(
        inst,
        request,
        _BY,
        now,
        Given(os.urandom(16), folder / "answers", recipient="" if locked else _RECIPIENT),
    )
    if not done.counts["parcels"]:
        raise SystemExit("an answer without parcels")
    return monotonic() - begun


def _deletions(
    inst: Installation, book: RightsBook, owner: Owner, folder: Path, people: range
) -> float:
    sheet = folder / f"requests-{people.start}.csv"
    lines = ["phone,kind", *(f"139{n:08d},delete" for n in people)]
    sheet.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = Run("reply", "bench", grant=True)
    begun = monotonic()
    found: Any = bulk(
        inst, book, owner.code, sheet, run, _BY, os.urandom, folder, lambda _, __: None
    )
    if found.done != len(people):
        raise SystemExit(f"{found}")
    return monotonic() - begun


_BATCH = (
    "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
    " business_date, state, facts) VALUES (:c, :s, repeat('0', 64), 'bench', 'bench', 'bench',"
    " '2026-12-01', 'loaded', '{}') RETURNING id"
)
_ASIDE = (
    "INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number, rule,"
    " column_name, sealed) VALUES (:c, :b, :day, 'parcels', '', :row, :rule, 'arrived_at',"
    " :sealed)"
)
_PARCELS = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags)"
    " SELECT :c, :s, gen_random_uuid(), w.subject_id, t.at, t.at + interval '5 hours', 440305, 1,"
    " 1, 2, 1, 0 FROM (SELECT n, CAST(:at AS timestamptz) + (n % 27) * interval '1 day'"
    " + (n % 86000) * interval '1 millisecond' AS at FROM generate_series(1, :n) n) t"
    " JOIN (SELECT row_number() OVER (ORDER BY subject_id) AS place, subject_id FROM subject"
    " WHERE controller_id = :c) w ON w.place = 1 + (t.n + :o) % :p"
)


if __name__ == "__main__":
    main()
