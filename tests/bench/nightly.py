"""``make bench``: a night over 1,000,000 parcels of 100,000 people, beside a bare COPY.

Everything is measured in one run on one machine against the same embedded PostgreSQL: the floor
(the joined CSV copied into a table with its text primary key), the imports, and the seven steps
in two worker processes. Machines are noisy; the ratio is the figure, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import psycopg

from safehands import embedded, pipeline
from safehands.evidence import read_night
from safehands.sample.bench import write_bench, write_bench_csv
from safehands.settings import Settings
from safehands.workers import warm_up

_HEAVY = "import safehands.pipeline, great_expectations"
_COPY_BLOCK = 1 << 20


def now() -> datetime:
    """The bench's clock."""
    return datetime.now(UTC)


def main() -> None:
    """Run the bench and print its figures."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="sh-bench-", dir=options.dir) as folder:
        home = Path(folder) / "home"
        try:
            _bench(options, Path(folder), home)
        finally:
            embedded.remove(embedded.Place(home))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the floor")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    return parser.parse_args()


def _bench(options: argparse.Namespace, folder: Path, home: Path) -> None:
    day = date(2026, 11, 23)
    landing = home / "landing"
    _say(f"making {options.parcels:,} parcels of {options.people:,} people …")
    facts = write_bench(landing, day, parcels=options.parcels, people=options.people)
    whole = folder / "whole.csv"
    size = write_bench_csv(whole, landing, facts)
    settings = Settings.read(
        {}, home=str(home), workers=str(options.workers), lang="en", shard_megabytes="64"
    )
    inst = pipeline.open_installation(settings, now)
    floors = [_bare_copy(home, whole) for _ in range(options.rounds)]
    imports = _imports()
    warm_up(pipeline.HEAVY)
    with _peaks() as peaks:
        begun = monotonic()
        pipeline.nightly(inst, day, lambda *_: None)
        chain = monotonic() - begun
    floors += [_bare_copy(home, whole)]
    evidence = read_night(inst, day)
    inst.close()
    floor = sorted(floors)[len(floors) // 2]
    found = {
        "machine": f"{platform.machine()}, {_cores()} cores, Python {platform.python_version()}",
        "csv_megabytes": round(size / 1e6),
        "bare_copy_seconds": [round(s, 2) for s in floors],
        "imports_seconds": round(imports, 2),
        "night_seconds": round(chain, 2),
        "ratio_to_bare_copy": round(chain / floor, 2),
        "steps_seconds": {s.step: round(s.seconds, 2) for s in evidence.steps},
        "rows": {s.step: s.counts for s in evidence.steps},
        "peak_megabytes": dict(peaks),
    }
    print(json.dumps(found, indent=None if options.json else 2, ensure_ascii=False))  # noqa: T201


def _bare_copy(home: Path, source: Path) -> float:
    """Copy the CSV into a fresh table with its text primary key; return seconds."""
    server = embedded.start(embedded.Place(home))
    with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as connection:
        with source.open(encoding="utf-8") as lines:
            width = len(lines.readline().split(","))
        columns = ", ".join(f"c{i} text" for i in range(width))
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute(f"CREATE TABLE bare ({columns}, PRIMARY KEY (c0))")
        connection.execute("CHECKPOINT")
        begun = monotonic()
        with (
            source.open("rb") as data,
            connection.cursor().copy("COPY bare FROM STDIN (FORMAT csv, HEADER)") as copy,
        ):
            while block := data.read(_COPY_BLOCK):
                copy.write(block)
        seconds = monotonic() - begun
        connection.execute("DROP TABLE bare")
        return seconds


def _imports() -> float:
    begun = monotonic()
    subprocess.run([sys.executable, "-c", _HEAVY], check=True)
    return monotonic() - begun


@contextmanager
def _peaks() -> Iterator[dict[str, int]]:
    """Watch the resident memory of this process and its workers; the highest of each kind."""
    highest: dict[str, int] = defaultdict(int)
    done = Event()

    def watch() -> None:
        while not done.wait(0.1):
            for name, megabytes in _family():
                highest[name] = max(highest[name], megabytes)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()


def _family() -> Iterator[tuple[str, int]]:
    import os

    own = os.getpid()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "VmRSS" not in fields or str(own) not in (entry.name, *_ancestors(fields)):
                continue
            kind = "parent" if entry.name == str(own) else "worker"
            if b"forkserver" in command or b"python" in command or kind == "parent":
                yield kind, int(fields["VmRSS"].split()[0]) // 1024


def _ancestors(fields: dict[str, str]) -> Iterator[str]:
    parent = fields["PPid"].strip()
    while parent not in ("0", "1"):
        yield parent
        try:
            status = (Path("/proc") / parent / "status").read_text()
        except OSError:
            return
        parent = next(x for x in status.splitlines() if x.startswith("PPid")).split()[1]


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
