"""``python tests/bench/backup.py``: backup, verify and restore, beside restic on the same bytes.

One night over made-up parcels fills a store on the embedded PostgreSQL; then a first backup, a
second of the unchanged store, a verification of every byte and a restore that compares every row
are timed. restic (Debian's package, if it is installed) does what it can do of the same on a
folder with the backup's Parquet files in the clear: backup, backup again, check --read-data,
restore. It reads files and not a database, encrypts with AES and compares nothing with the store;
the bytes are the same. Machines are noisy: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from safehands import embedded, journal, pipeline
from safehands.backup import Repository, verify_repository
from safehands.keys import age
from safehands.restore import restore
from safehands.restore.scratch import scratch
from safehands.restore.source import Source
from safehands.sample.bench import write_bench
from safehands.settings import Settings

DAY = date(2026, 11, 23)


def now() -> datetime:
    """The bench's clock."""
    return datetime.now(UTC)


def main() -> None:
    """Run the bench and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=200_000)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dir", default=None, help="where to work (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sh-bench-", dir=options.dir) as folder:
        home = Path(folder) / "home"
        try:
            found = _bench(options, home, Path(folder))
        finally:
            embedded.remove(embedded.Place(home))
    print(json.dumps(found, indent=2))  # noqa: T201


def _bench(options: argparse.Namespace, home: Path, folder: Path) -> dict[str, Any]:
    write_bench(home / "landing", DAY, parcels=options.parcels, people=options.people)
    settings = Settings.read({}, home=str(home), workers=str(options.workers), lang="en")
    inst = pipeline.open_installation(settings, now)
    pipeline.nightly(inst, DAY, lambda *_: None)
    inst.close()
    again = replace(settings, backups=folder / "repository")
    inst = pipeline.open_installation(again, now)
    head = pipeline.Head.of(DAY)
    repository, provider = Repository(again.backups), inst.provider
    verifier = journal.signing_key(provider).verifier
    # The night has made a backup already; a folder of its own asks for everything once more.
    seconds = {
        "backup, first": _timed(lambda: pipeline.backup(inst, head)),
        "backup, unchanged": _timed(lambda: pipeline.backup(inst, head)),
        "verify": _timed(lambda: verify_repository(repository, provider, verifier)),
    }
    with scratch(inst.store, "bench") as target:
        seconds["restore and compare"] = _timed(
            lambda: restore(repository, target, verifier, now(), for_good=False)
        )
    plain = folder / "plain"
    rows = _decrypt(Source(repository, provider, verifier), age.identity(provider), plain)
    inst.close()
    return {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "rows": rows,
        "plain_megabytes": _megabytes(plain),
        "repository_megabytes": _megabytes(again.backups),
        "seconds": seconds,
        "restic_seconds": _restic(plain, folder),
    }


def _timed(work: Callable[[], object]) -> float:
    begun = monotonic()
    work()
    return round(monotonic() - begun, 2)


def _decrypt(source: Source, identity: str, folder: Path) -> int:
    """Write the newest generation's parts in the clear; return the rows."""
    folder.mkdir()
    manifest = source.newest.manifest
    for number, part in enumerate(manifest.parts):
        data = age.decrypt(source.repository.get(part.object), identity)
        (folder / f"{number:05d}.parquet").write_bytes(data)
    return sum(manifest.tables.values())


def _megabytes(folder: Path) -> float:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6, 1)


def _restic(plain: Path, folder: Path) -> dict[str, float] | str:
    program = shutil.which("restic")
    if program is None:
        return "not measured: restic is missing (Debian package: apt-get install restic)"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "RESTIC_REPOSITORY": str(folder / "restic"),
        "RESTIC_PASSWORD": "bench",
    }

    def run(*words: str) -> None:
        command = [program, "--quiet", "--no-cache", *words]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)

    run("init")
    return {
        "backup, first": _timed(lambda: run("backup", str(plain))),
        "backup, unchanged": _timed(lambda: run("backup", str(plain))),
        "check --read-data": _timed(lambda: run("check", "--read-data")),
        "restore": _timed(lambda: run("restore", "latest", "--target", str(folder / "back"))),
    }


if __name__ == "__main__":
    main()
