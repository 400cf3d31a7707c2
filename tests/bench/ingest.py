"""``make bench-ingest``: rows per second of ingest alone, by format, beside pandas on the same
file.

Ingest decodes, finds the table, checks every cell, converts it and writes encrypted Parquet, all in
one worker and the reading process it asks; pandas only parses. ``--stream`` reads a CSV of ten
times
the rows in the parts that the night would cut it into: memory must stay and speed too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from safehands.datasets import Shard
from safehands.ingest import Limits, cut_big, ingest, inventory
from safehands.ingest.child import warm_up
from safehands.keys import RunKey
from safehands.night import Night
from safehands.policy import load_policy
from safehands.sample.bench import HEADER, write_bench
from safehands.settings import Settings
from safehands.stations import load_register

_DAY = date(2026, 11, 23)
_PANDAS = {
    "csv": "pandas.read_csv(path, dtype=str)",
    "gb18030.csv": "pandas.read_csv(path, dtype=str, encoding='gb18030')",
    "xlsx": "pandas.read_excel(path, dtype=str)",
    "xlsx by calamine": "pandas.read_excel(path, dtype=str, engine='calamine')",
    "parquet": "pandas.read_parquet(path)",
    "jsonl": "pandas.read_json(path, lines=True, dtype=False)",
}


def main() -> None:
    """Run the bench and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--sheet-rows", type=int, default=30_000)
    parser.add_argument("--stream", action="store_true", help="10,000,000 rows against 1,000,000")
    parser.add_argument("--stream-rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-", dir=options.dir) as folder:
        found = (
            _stream(options, Path(folder)) if options.stream else _formats(options, Path(folder))
        )
    found["machine"] = f"{platform.machine()}, {_cores()} cores, Python {platform.python_version()}"
    print(json.dumps(found, indent=None if options.json else 2, ensure_ascii=False))  # noqa: T201


def _formats(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    table = _table(folder / "source", options.rows)
    small = table.slice(0, options.sheet_rows)
    makers: dict[str, tuple[pa.Table, Callable[[pa.Table, Path], None]]] = {
        "csv": (table, _csv),
        "gb18030.csv": (table, _gb18030),
        "jsonl": (table, _jsonl),
        "parquet": (table, lambda made, path: pq.write_table(made, path)),
        "xlsx": (small, _xlsx),
    }
    found: dict[str, Any] = {}
    # What is imported and compiled once per worker is not measured.
    first = folder / "first" / "station"
    first.mkdir(parents=True)
    _csv(table.slice(0, 1_000), first / "a.csv")
    _ingest(first.parent, folder / "home")
    for name, (made, write) in makers.items():
        landing = folder / name.replace(".", "-")
        (landing / "station").mkdir(parents=True)
        path = landing / "station" / f"a.{name.rpartition('.')[2]}"
        write(made, path)
        seconds, out = _ingest(landing, folder / "home")
        found[name] = {
            "rows": made.num_rows,
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "read": out,
            "ingest_rows_per_second": round(made.num_rows / seconds),
            "pandas_rows_per_second": _pandas(path, name, made.num_rows),
        }
        if name == "xlsx":
            beside = _pandas(path, "xlsx by calamine", made.num_rows)
            found[name]["pandas_calamine_rows_per_second"] = beside
    return found


def _table(folder: Path, rows: int) -> pa.Table:
    write_bench(folder, _DAY, parcels=rows, people=max(10, rows // 10))
    read = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(HEADER, pa.string()))
    files = sorted(folder.rglob("*.csv"))
    return pa.concat_tables(pyarrow.csv.read_csv(file, convert_options=read) for file in files)


def _csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(
        table, path, pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    )


def _gb18030(table: pa.Table, path: Path) -> None:
    _csv(table, path)
    path.write_bytes(path.read_text(encoding="utf-8").encode("gb18030"))


def _jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in table.to_pylist():
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _xlsx(table: pa.Table, path: Path) -> None:
    from openpyxl import Workbook  # type: ignore[import-untyped]

    book = Workbook(write_only=True)
    sheet = book.create_sheet("台账")
    sheet.append(table.column_names)
    for row in table.to_pylist():
        sheet.append(list(row.values()))
    book.save(path)


def _ingest(landing: Path, home: Path) -> tuple[float, int]:
    warm_up()
    night = _night(landing, home)
    shard = Shard("s", "owner", tuple(inventory(landing, load_register(landing, ()))))
    begun = monotonic()
    handoff = ingest(shard, night)
    seconds = monotonic() - begun
    if handoff.problems:
        raise SystemExit(str([p.key for p in handoff.problems.values()]))
    return seconds, handoff.counts["in"]


def _night(landing: Path, home: Path) -> Night:
    settings = Settings.read({}, landing=str(landing), home=str(home))
    return Night("bench", _DAY, settings, load_policy(settings.policy), RunKey("b", os.urandom(32)))


def _pandas(path: Path, name: str, rows: int) -> int:
    code = (
        "import pandas, sys, time; path = sys.argv[1]; begun = time.monotonic();"
        f" {_PANDAS[name]}; print(time.monotonic() - begun)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return round(rows / float(done.stdout))


def _stream(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare one size with ten times it, each in a process of its own."""
    found: dict[str, Any] = {}
    small = folder / "small" / "station"
    small.mkdir(parents=True)
    _csv(_table(folder / "source", options.stream_rows), small / "a.csv")
    large = folder / "large" / "station"
    large.mkdir(parents=True)
    _ten_times(small / "a.csv", large / "a.csv")
    for name, rows in (("small", 1), ("large", 10)):
        found[name] = _in_parts(folder / name, folder / "home")
        found[name]["rows"] = rows * options.stream_rows
    speeds = [found[name]["rows_per_second"] for name in ("small", "large")]
    found["throughput_of_large_to_small"] = round(speeds[1] / speeds[0], 3)
    return found


def _ten_times(source: Path, target: Path) -> None:
    """Write the rows ten times over, each time with waybill numbers of their own."""
    with target.open("wb") as out:
        for number in range(10):
            with source.open("rb") as lines:
                head = next(lines)
                body: Iterator[bytes] = (line[:1] + b"%d" % number + line[1:] for line in lines)
                out.writelines(chain([head] if number == 0 else [], body))


def _in_parts(landing: Path, home: Path) -> dict[str, Any]:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import ingest as bench;"
    )
    code += f" bench.read_in_parts({str(landing)!r}, {str(home)!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read_in_parts(landing: str, home: str) -> None:
    """Read a big file as the night does, part by part in one worker; print the figures."""
    place, night = Path(landing), _night(Path(landing), Path(home))
    warm_up()
    target = night.settings.shard_megabytes * 1_000_000
    begun = monotonic()
    files = inventory(place, load_register(place, ()))
    listed = monotonic()
    parts = cut_big(place, files, target, Limits.of(night.settings))
    cut_at, rows = monotonic(), 0
    for number, part in enumerate(parts):
        handoff = ingest(Shard(f"s{number}", "owner", (part,)), night)
        rows += handoff.counts["in"]
        for artifact in handoff.artifacts.values():
            Path(artifact.path).unlink()
    seconds = monotonic() - cut_at
    usage = {
        "megabytes": round(sum(f.size for f in files) / 1e6),
        "parts": len(parts),
        "read": rows,
        "list_seconds": round(listed - begun, 1),
        "cut_seconds": round(cut_at - listed, 1),
        "ingest_seconds": round(seconds, 1),
        "rows_per_second": round(rows / (monotonic() - begun)),
        "worker_peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(usage))  # noqa: T201


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
