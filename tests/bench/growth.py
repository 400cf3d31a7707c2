"""``make bench-growth``: the same night on 1, 3 and 10 times the history.

The night is a landing of two owners over the last 90 days. The history lies in the months before
it and belongs to the first of the two owners and to as many other people as it takes; it is put
there by SQL, outside of what is measured. For each size the night runs once in one process; time
and highest memory of each step are printed, and what a month past its time costs to drop.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent))

import keys as base
from safehands import embedded, pipeline
from safehands.sample.bench import write_bench
from safehands.settings import Settings
from safehands.store.register import owners

DAY = date(2026, 11, 23)
FIRST, MONTHS = date(2025, 12, 1), 8
EXPIRED = date(2025, 3, 1)
OWNER = "bench1"


def now() -> datetime:
    """The bench's clock: the night after the business date."""
    return datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def main() -> None:
    """Measure each size in a process of its own, so that memory is that of this size alone."""
    options = _options()
    if options.one:
        sys.stdout.write(json.dumps(_measured(options, options.one)) + "\n")
        return
    found = []
    for size in options.history:
        command = [sys.executable, __file__, "--one", str(size)]
        command += ["--parcels", str(options.parcels), "--people", str(options.people)]
        if options.dir:
            command += ["--dir", options.dir]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        sys.stdout.write(json.dumps(found[-1]) + "\n")
        sys.stdout.flush()
    for name in ("night_seconds", "night_cpu_seconds", "peak_megabytes"):
        least = found[0][name]
        ratios = ", ".join(f"{one['history']:,}: {one[name] / least:.2f}" for one in found)
        sys.stdout.write(f"{name} against the smallest: {ratios}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [1_000_000, 3_000_000, 10_000_000]
    parser.add_argument("--history", type=int, nargs="+", default=sizes)
    parser.add_argument("--parcels", type=int, default=100_000, help="of the night")
    parser.add_argument("--people", type=int, default=20_000, help="of the night")
    parser.add_argument("--one", type=int, default=0, help="measure this size here")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    return parser.parse_args()


def _measured(options: argparse.Namespace, history: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sh-growth-", dir=options.dir) as folder:
        settings = Settings.read({}, home=str(Path(folder) / "home"), workers="1", lang="en")
        try:
            return _night(settings, options, history)
        finally:
            embedded.remove(embedded.Place(settings.home))


def _night(settings: Settings, options: argparse.Namespace, history: int) -> dict[str, Any]:
    write_bench(settings.landing, DAY, parcels=options.parcels, people=options.people)
    inst = pipeline.open_installation(settings, now)
    try:
        begun = monotonic()
        pipeline.plan(inst, DAY)
        _history(inst, history)
        made = monotonic() - begun
        pipeline.backup(inst, pipeline.Head.of(date(2026, 11, 22)))
        first_backup = monotonic() - begun - made
        watch = _Watch(inst)
        _forget_peak()
        begun, before = monotonic(), _Watch.cpu(inst)
        pipeline.nightly(inst, DAY, watch.tell)
        return {
            "history": history,
            "night_seconds": round(monotonic() - begun, 2),
            "night_cpu_seconds": round(_Watch.cpu(inst) - before, 2),
            "step_cpu_seconds": {name: round(value, 2) for name, value in watch.seconds.items()},
            "peak_megabytes": _peak(),
            "peak_after_step": watch.peaks,
            "bytes_each": _bytes(inst),
            "making_seconds": round(made, 1),
            "first_backup_seconds": round(first_backup, 1),
            "drop_month": _dropped(inst),
        }
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

    def tell(self, step: str, _shard: str, event: str) -> None:
        """Note what begins and ends; for ``pipeline.nightly``."""
        if event == "start":
            self._begun[step] = self.cpu(self.inst)
            return
        spent = self.cpu(self.inst) - self._begun[step]
        self.seconds[step] = self.seconds.get(step, 0.0) + spent
        self.peaks[step] = _peak()

    @staticmethod
    def cpu(inst: Any) -> float:
        """Return the processor seconds so far of this process, its children and the database."""
        with inst.store.admin().connect() as connection:
            pids = connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars().all()
        family = [os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True)), *pids]
        total = 0.0
        for pid in set(family):
            with suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return total + ended.ru_utime + ended.ru_stime


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
        "parcel": round(of_parcels / parcels, 1),
        "person": round(of_people / people, 1),
        "parcel_in_backup": round(backed.get("parcel", 0) / parcels, 1),
        "person_in_backup": round(backed.get("subject", 0) / people, 1),
    }


def _history(inst: Any, parcels: int) -> None:
    """People of the first owner, a hundredth as many as parcels, with parcels in eight months."""
    owner = owners(inst.store)[OWNER]
    people = max(1_000, parcels // 100)
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


def _dropped(inst: Any, rows: int = 1_000_000) -> dict[str, Any]:
    """Put a month past its time into the store and let the purge of the next day take it."""
    owner = owners(inst.store)[OWNER]
    _month(inst, owner, EXPIRED, rows, 0, 1_000)
    with inst.store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    head = pipeline.Head.of(date(2026, 11, 24))
    begun = monotonic()
    done = pipeline.purge(inst, head)
    return {"rows": rows, "seconds": round(monotonic() - begun, 2), "counts": done.counts}


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


if __name__ == "__main__":
    os.environ.pop("SAFEHANDS_HOME", None)
    main()
