"""``python tests/bench/incidents.py [--people N] [--parcels N]``: who is affected over a year.

Synthetic parcels are made inside the database, spread over twelve months; an incident whose scope
is every parcel of the year is then counted as ``safehands incident assess`` counts it. The target
is at most 10 s at 1,000,000 people and 10,000,000 parcels. Months are settled as the night does it
after loading. Then a drill of 10,000 synthetic people, from trigger to drafted notices; its target
is two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, date, datetime
from time import monotonic

from sqlalchemy import text

from safehands import embedded, incidents
from safehands.incidents import Scope
from safehands.installation import Installation, open_installation
from safehands.purge.months import settle_load
from safehands.settings import Settings
from safehands.stations import Controller, Register, Station
from safehands.store.register import Owner, owners, register
from safehands.vault.access import OFFICER

_NOW = datetime(2026, 11, 24, tzinfo=UTC)
_BEGAN = datetime(2025, 12, 1, tzinfo=UTC)
_DRILLED = 10_000
_SPAN = "CAST(:began AS timestamptz) + (g % 358) * interval '1 day'"
_PEOPLE = (
    "INSERT INTO subject (controller_id, subject_id, lookup, epoch, wrapped_salt, key_version,"
    " sealed, detail, first_seen, last_seen) SELECT :owner, md5('s' || g)::uuid,"
    " md5('l' || g)::uuid, 1, '', 1, '', 0, :began, :began FROM generate_series(1, :people) g"
)
_PARCELS = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, district,"
    " batch_id, carrier, status, weight_band, tags) SELECT :owner, :station, md5('w' || g)::uuid,"
    f" md5('s' || (1 + (g::bigint * 7919) % :people))::uuid, {_SPAN}, 440305, 0, 1, 2, 1, 0"
    " FROM generate_series(1, :parcels) g"
)


def measure(people: int, parcels: int, home: str) -> dict[str, float | int]:
    """Fill a store and count; return seconds and people."""
    inst = open_installation(Settings.read({**os.environ}, home=home), lambda: _NOW)
    try:
        owner = _fill(inst, people, parcels)
        book = incidents.load_incident_book(inst.settings.policy)
        times = (_NOW, _BEGAN, _NOW)
        with inst.store.begin(OFFICER, owner.id) as connection:
            number = incidents.open_case(
                connection, book, owner, "leak", times, "b", Scope(parcels=True), "bench", _NOW
            )
        begun = monotonic()
        with inst.store.begin(OFFICER, owner.id) as connection:
            found = incidents.case(connection, number)
            counts = incidents.affected(connection, inst.policy, book, found)
        seconds = monotonic() - begun
        done = incidents.drill(inst, book, owner.code, "bench", monotonic, count=_DRILLED)
        return {
            "seconds": round(seconds, 2),
            "people": counts.people,
            "rows": counts.rows,
            "drill_people": done.people,
            "drill_seconds_to_count": round(done.seconds_to_count, 2),
            "drill_seconds_to_drafts": round(done.seconds_to_drafts, 2),
        }
    finally:
        inst.close()
        embedded.remove(embedded.Place(inst.settings.home))


def _fill(inst: Installation, people: int, parcels: int) -> Owner:
    station = Station(code="S1", name="S1", folder="S1")
    made = Controller(code="S", name="bench", record_sets={}, stations=(station,))
    register(inst.store, Register(controllers=(made,)), date(2026, 11, 24))
    owner = owners(inst.store)["S"]
    values = {"owner": owner.id, "station": owner.stations["S1"], "began": _BEGAN}
    with inst.store.begin(controller=owner.id) as connection:
        for month in range(13):
            day = date(2025 + (11 + month) // 12, (11 + month) % 12 + 1, 1)
            connection.execute(text("SELECT add_month(:day)"), {"day": day})
        sizes = {"people": people, "parcels": parcels}
        connection.execute(text(_PEOPLE), {**values, **sizes})
        connection.execute(text(_PARCELS), {**values, **sizes})
    settle_load(inst.store)
    return owner


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--parcels", type=int, default=10_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-") as home:
        result = measure(given.people, given.parcels, home)
    sys.stdout.write(
        json.dumps({**result, "machine": platform.machine(), "cores": os.cpu_count()}) + "\n"
    )


if __name__ == "__main__":
    main()
