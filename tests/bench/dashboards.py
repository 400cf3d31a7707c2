"""How fast the pages open at a thousand stations and a year of nights.

Evidence is made by SQL: stations of a hundred owners, every night's verdicts per rule and station,
steps, backups, drills, rule book, requests, hand-overs. No person is in it. Measured is what the
web server does for one page: gather, draw, fill; the first time (charts are drawn) and again.

    python tests/bench/dashboards.py [--stations 1000] [--nights 365] [--home DIR] [--keep]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import mkdtemp

import psutil
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1]))

from safehands import embedded
from safehands.dashboards import DETAILS, WHOLE, Books, View, charts, open_books, open_page
from safehands.dashboards.opening import owner_codes
from safehands.keys import FileProvider
from safehands.settings import PROJECT, Settings
from safehands.store import Store, prepare_store

TARGET = 0.3
LAST = date(2026, 11, 23)
SQL = Path(__file__).with_suffix(".sql")
DETAIL = {"quality": "parcels.phone_odd", "risk": "AUD-01", "handovers": ""}


def main() -> None:
    """Fill a store and measure every page."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--stations", type=int, default=1000)
    asked.add_argument("--nights", type=int, default=365)
    asked.add_argument("--home", default="")
    asked.add_argument("--keep", action="store_true")
    given = asked.parse_args()
    home = Path(given.home or mkdtemp(prefix="sh-bench-"))
    settings = replace(Settings.read({}, home=str(home)), expectations=PROJECT / "expectations")
    place = embedded.Place(home)
    server = embedded.start(place, durable=False)
    store = Store(server.url("safehands"), FileProvider(settings.keys, settings.keys_second))
    try:
        prepare_store(store)
        begun = time.perf_counter()
        fill(store, given.stations, given.nights)
        show(f"filled in {time.perf_counter() - begun:.0f} s: {sizes(store)}")
        measure(store, open_books(settings))
    finally:
        store.close()
        if not given.keep:
            embedded.remove(place)


def show(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fill(store: Store, stations: int, nights: int) -> None:
    """Write the evidence of ``nights`` nights up to ``LAST``."""
    values = {"stations": stations, "owners": max(2, stations // 10), "nights": nights, "day": LAST}
    with store.admin().begin() as connection:
        for statement in SQL.read_text(encoding="utf-8").split(";\n")[:-1]:
            used = {k: v for k, v in values.items() if f":{k}" in statement}
            connection.execute(text(statement), used)
    with store.admin().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def sizes(store: Store) -> str:
    """Return how many rows there are of what grows most."""
    tables = ("station", "quality_result", "quality_night", "rule_result", "step_result")
    with store.admin().connect() as connection:
        counts = {t: connection.execute(text(f"SELECT count(*) FROM {t}")).scalar() for t in tables}
    return ", ".join(f"{count:,} {table}" for table, count in counts.items())


def measure(store: Store, books: Books) -> None:
    """Print per page how long it takes the first time and then; fail above the target."""
    begun = time.perf_counter()
    charts.warm()
    show(f"drawing engine ready after {time.perf_counter() - begun:.2f} s")
    with store.begin("safehands_auditor") as connection:
        codes = owner_codes(connection)
        number = connection.execute(text("SELECT max(handover_id::text) FROM handover")).scalar()
    pages = [(name, "") for name in WHOLE]
    pages += [(name, {**DETAIL, "handovers": str(number)}[name]) for name in DETAILS]
    late = []
    for name, detail in pages:
        view = View(
            name,
            "zh",
            books.policy,
            base="/safehands/",
            pages=tuple(WHOLE),
            owners=codes,
            here=name,
        )
        seconds = []
        for _ in range(6):
            begun = time.perf_counter()
            with store.begin("safehands_auditor") as connection:
                html = open_page(connection, view, books, detail)
            seconds.append(time.perf_counter() - begun)
        first, again = seconds[0], statistics.median(seconds[1:])
        show(
            f"{name + ('/' + detail[:24] if detail else ''):34} first {first * 1000:5.0f} ms,"
            f" again {again * 1000:5.0f} ms, {len(html) / 1000:5.0f} kB"
        )
        late += [name] if again > TARGET else []
    memory = psutil.Process().memory_info().rss / 1e6
    show(f"memory of this process {memory:,.0f} MB; target {TARGET * 1000:.0f} ms a page")
    if late:
        raise SystemExit(f"too slow: {', '.join(late)}")


if __name__ == "__main__":
    main()
