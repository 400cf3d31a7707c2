"""``make bench-growth``: the same nights on 1, 3 and 10 times the history.

A night is a landing of two owners over the last 90 days. The history lies in the months before
it and belongs to the first of the two owners and to other people than the night's, equally many
whatever its size (``--holders``; 0: one for each hundred parcels); it is put there by SQL, outside
of what is measured. All stores are made first; then the same night runs on one after the other,
each time in a new process, and so on for ``--nights`` nights, there and back: a machine that slows
down slows all of them. Printed are time and highest memory of each step, for each night the ratios
to the smallest history, their medians, and what a month past its time costs to drop. Before the
nights, outside of what is measured too, stand the first backup and the report's first look, which
read everything. The exit code is 1 when the median ratio of time or memory is above ``--most``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import psutil
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent))

import keys as base
from safehands import embedded, pipeline
from safehands.report.refresh import refresh
from safehands.sample.bench import write_bench
from safehands.settings import Settings
from safehands.store.register import owners

DAY = date(2026, 11, 23)
FIRST, MONTHS = date(2025, 12, 1), 8
EXPIRED = date(2025, 3, 1)
OWNER = "bench1"
COMPARED = ("night_seconds", "night_cpu_seconds", "peak_megabytes")
JUDGED = ("night_seconds", "peak_megabytes")
Found = dict[str, Any]


def main() -> int:
    """Make the stores, run the nights in turn, print what they took; return 1 if they grow."""
    options = _options()
    if options.part:
        sys.stdout.write(json.dumps(_PARTS[options.part](options)) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="sh-growth-", dir=options.dir) as folder:
        homes = {size: Path(folder) / str(size) for size in options.history}
        try:
            return int(not _compare(options, homes))
        finally:
            for home in homes.values():
                embedded.remove(embedded.Place(home))


def _compare(options: argparse.Namespace, homes: dict[int, Path]) -> bool:
    """Run the nights in turn; say whether time and memory stay within what is asked for."""
    for size, home in homes.items():
        _tell(_apart(options, home, "make", size))
    rounds = []
    for number in range(options.nights):
        order = sorted(homes, reverse=number % 2 == 1)
        rounds.append({n: _apart(options, homes[n], "night", n, number) for n in order})
        for found in rounds[-1].values():
            _tell(found)
    for size, home in homes.items():
        _tell(_apart(options, home, "drop", size, options.nights))
    least, flat = min(homes), True
    for name in COMPARED:
        for size in sorted(homes)[1:]:
            ratios = [one[size][name] / one[least][name] for one in rounds]
            each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            sys.stdout.write(f"{name}, {size:,} to {least:,}: {median(ratios):.2f} ({each})\n")
            flat = flat and (name not in JUDGED or median(ratios) <= options.most)
    return flat


def _apart(options: argparse.Namespace, home: Path, part: str, size: int, number: int = 0) -> Found:
    """Do one part in a process of its own, so that memory is that of this part alone."""
    words = {
        "--part": part,
        "--home": home,
        "--size": size,
        "--number": number,
        "--parcels": options.parcels,
        "--people": options.people,
        "--holders": options.holders,
    }
    command = [sys.executable, __file__, *(str(word) for pair in words.items() for word in pair)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _tell(found: Found) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [1_000_000, 3_000_000, 10_000_000]
    parser.add_argument("--history", type=int, nargs="+", default=sizes)
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--parcels", type=int, default=100_000, help="of the night")
    parser.add_argument("--people", type=int, default=20_000, help="of the night")
    parser.add_argument("--holders", type=int, default=100_000, help="people of the history")
    parser.add_argument("--most", type=float, default=1.10, help="ratio that is flat yet")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    # How the bench calls itself.
    parser.add_argument("--part", choices=sorted(_PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _opened(options: argparse.Namespace, day: date) -> Any:
    """Open the installation with the clock at two in the morning after the business date."""
    moment = datetime.combine(day + timedelta(days=1), time(2), UTC)
    settings = Settings.read({}, home=str(options.home), workers="1", lang="en")
    return pipeline.open_installation(settings, lambda: moment)


def _write_night(inst: Any, options: argparse.Namespace, number: int) -> None:
    sizes = {"parcels": options.parcels, "people": options.people, "seed": number + 1}
    write_bench(inst.settings.landing, DAY + timedelta(days=number), **sizes)


def _make(options: argparse.Namespace) -> Found:
    """Make a store with its history; its register is that of the first night's landing."""
    before = DAY - timedelta(days=1)
    inst = _opened(options, before)
    try:
        begun = monotonic()
        _write_night(inst, options, 0)
        pipeline.plan(inst, DAY)
        _history(inst, options.size, options.holders or max(1_000, options.size // 100))
        made = monotonic() - begun
        pipeline.backup(inst, pipeline.Head.of(before))
        first_backup = monotonic() - begun - made
        refresh(inst.store)
        first_look = monotonic() - begun - made - first_backup
        return {
            "made": options.size,
            "making_seconds": round(made, 1),
            "first_backup_seconds": round(first_backup, 1),
            "first_look_seconds": round(first_look, 1),
        }
    finally:
        inst.close()


def _night(options: argparse.Namespace) -> Found:
    """Run the night of this number and return what it took."""
    day = DAY + timedelta(days=options.number)
    inst = _opened(options, day)
    try:
        _write_night(inst, options, options.number)
        watch = _Watch(inst)
        with inst.store.admin().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            # What the making left to be written is not the night's work.
            connection.execute(text("CHECKPOINT"))
        _forget_peak()
        begun, before = monotonic(), watch.cpu()
        pipeline.nightly(inst, day, watch.tell)
        return {
            "history": options.size,
            "night": day.isoformat(),
            "night_seconds": round(monotonic() - begun, 2),
            "night_cpu_seconds": round(watch.cpu() - before, 2),
            "step_cpu_seconds": {name: round(value, 2) for name, value in watch.seconds.items()},
            "peak_megabytes": _peak(),
            "peak_after_step": watch.peaks,
            "bytes_each": _bytes(inst),
        }
    finally:
        inst.close()


def _drop(options: argparse.Namespace, rows: int = 1_000_000) -> Found:
    """Put a month past its time into the store and let the purge of the next day take it."""
    day = DAY + timedelta(days=options.number)
    inst = _opened(options, day)
    try:
        _month(inst, owners(inst.store)[OWNER], EXPIRED, rows, 0, 1_000)
        with inst.store.begin() as connection:
            connection.execute(text("SELECT settle_load()"))
        begun = monotonic()
        done = pipeline.purge(inst, pipeline.Head.of(day))
        seconds = round(monotonic() - begun, 2)
        return {"history": options.size, "dropped": rows, "seconds": seconds, "counts": done.counts}
    finally:
        inst.close()


class _Watch:
    """Processor seconds of each step, of this process and of the database's together.

    They say more than the clock on a machine that does other things as well.
    """

    def __init__(self, inst: Any) -> None:
        self.inst = inst
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._begun: dict[str, float] = {}
        self._spent: dict[tuple[int, float], float] = {}

    def tell(self, step: str, _shard: str, event: str) -> None:
        """Note what begins and ends; for ``pipeline.nightly``."""
        if event == "start":
            self._begun[step] = self.cpu()
            return
        spent = self.cpu() - self._begun[step]
        self.seconds[step] = self.seconds.get(step, 0.0) + spent
        self.peaks[step] = _peak()

    def cpu(self) -> float:
        """Return the processor seconds so far of this process, its children and the database.

        Of a process that ended, what it had spent when it was last seen.
        """
        with self.inst.store.admin().connect() as connection:
            pids = connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars().all()
        family = [os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True)), *pids]
        for pid in set(family):
            with suppress(psutil.Error):
                one = psutil.Process(pid)
                times = one.cpu_times()
                self._spent[pid, one.create_time()] = times.user + times.system
        return sum(self._spent.values())


def _peak() -> int:
    """Return the highest resident memory since ``_forget_peak``, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _forget_peak() -> None:
    # Linux: 5 sets the high-water mark back to what is resident now (proc(5)).
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _bytes(inst: Any) -> dict[str, float]:
    """Return what one parcel and one person take: in the database, and sealed in the backup."""
    with inst.store.admin().connect() as connection:
        parcels, people = connection.execute(text(_ROWS)).one()
        of_parcels, of_people = connection.execute(text(_SIZES)).one()
        kept = connection.execute(text(_KEPT)).all()
    backed = {name: int(size) for name, size in kept}
    return {
        "parcel": round(float(of_parcels) / parcels, 1),
        "person": round(float(of_people) / people, 1),
        "parcel_in_backup": round(backed.get("parcel", 0) / parcels, 1),
        "person_in_backup": round(backed.get("subject", 0) / people, 1),
    }


def _history(inst: Any, parcels: int, people: int) -> None:
    """People of the first owner with parcels in eight months."""
    owner = owners(inst.store)[OWNER]
    with inst.store.begin(controller=owner.id) as connection:
        base._people(connection, inst, owner, people)
    share = parcels // MONTHS
    for number in range(MONTHS):
        first = date(
            FIRST.year + (FIRST.month - 1 + number) // 12, (FIRST.month - 1 + number) % 12 + 1, 1
        )
        _month(inst, owner, first, share, number * share, people)
    with inst.store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    with inst.store.admin().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))


def _month(inst: Any, owner: Any, first: date, rows: int, offset: int, people: int) -> None:
    values = {"c": owner.id, "s": min(owner.stations.values()), "n": rows, "p": people, "o": offset}
    with inst.store.admin().begin() as connection:
        connection.execute(text("SELECT add_month(:month)"), {"month": first})
        connection.execute(text(_PARCELS), {**values, "at": f"{first.isoformat()} 12:00+08"})


_ROWS = "SELECT (SELECT count(*) FROM parcel), (SELECT count(*) FROM subject)"
_SIZES = (
    "SELECT (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
    " WHERE inhparent = 'parcel'::regclass), pg_total_relation_size('subject')"
)
_KEPT = (
    "SELECT split_part(part, '/', 1), sum(bytes) FROM"
    " (SELECT part, max(bytes) AS bytes FROM backup_object GROUP BY part) newest GROUP BY 1"
)
_PARCELS = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags)"
    " SELECT :c, :s, gen_random_uuid(), w.subject_id, t.at, t.at + interval '5 hours', 440305, 1,"
    " 1, 2, 1, 0 FROM (SELECT n, CAST(:at AS timestamptz) + (n % 27) * interval '1 day'"
    " + (n % 86000) * interval '1 millisecond' AS at FROM generate_series(1, :n) n) t"
    " JOIN (SELECT row_number() OVER (ORDER BY subject_id) AS place, subject_id FROM subject"
    " WHERE controller_id = :c) w ON w.place = 1 + (t.n + :o) % :p ORDER BY 3"
)

_PARTS = {"make": _make, "night": _night, "drop": _drop}


if __name__ == "__main__":
    os.environ.pop("SAFEHANDS_HOME", None)
    sys.exit(main())
