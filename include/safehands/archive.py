"""Move loaded landing files into the encrypted archive, when the setting asks for it.

An export is clear text and may be the station's only copy, so by default it stays. With the
setting, a file whose rows are loaded and backed up is sealed under the station's archive key of
that day, read back in full, and only then removed. The removal goes through the outbox: it follows
the commit that records it and is repeated after a crash until it is done.

File format: ``safehands-archive/1`` and a line end, then per block of at most 1 MiB four bytes of
length (big-endian) and a sealed block. A block's plaintext begins with its number (8 bytes) and a
flag, 1 for the last, so that blocks cannot be dropped, moved or cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from safehands import journal
from safehands.artifacts import file_digest
from safehands.datasets import Outcome, loaded_whole
from safehands.errors import SetupProblem
from safehands.keys import DayBox
from safehands.night import Night
from safehands.store import Store
from safehands.store.batches import current_batches

__all__ = ["archive", "open_archived"]

_MAGIC = b"safehands-archive/1\n"
_BLOCK = 1 << 20


def archive(night: Night, store: Store, now: datetime) -> Outcome:
    """Seal and remove every landing file that is loaded. Counts: ``files`` sealed tonight.

    Raises ``SetupProblem`` when what was written does not read back; the export then stays.
    """
    if not isinstance(night.settings.landing, Path):
        raise SetupProblem("archive.landing_elsewhere")
    sealed, present = 0, _present(night)
    for station, digest in _loaded(store, night):
        if digest in present:
            _seal(night, store, station, digest, present[digest], now)
            sealed += 1
    _empty_outbox(store)
    return Outcome(night.run, "archive", counts={"files": sealed}, already=not sealed)


def open_archived(path: Path, box: DayBox) -> Iterator[bytes]:
    """Yield the original bytes of an archived file, block by block.

    Raises ``KeyProblem`` for another key or changed bytes, ``SetupProblem`` for a cut file.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise SetupProblem("archive.damaged", file=path.name)
        number, last = 0, False
        while head := file.read(4):
            (plain,) = box.unseal([file.read(int.from_bytes(head, "big"))])
            if last or int.from_bytes(plain[:8], "big") != number:
                raise SetupProblem("archive.damaged", file=path.name)
            number, last = number + 1, plain[8] == 1
            yield plain[9:]
        if not last:
            raise SetupProblem("archive.damaged", file=path.name)


def _loaded(store: Store, night: Night) -> list[tuple[str, str]]:
    with store.begin() as connection:
        batches = current_batches(connection, night.policy)
    return sorted(loaded_whole((batch.station, batch.file) for batch in batches if batch.loaded))


def _present(night: Night) -> dict[str, Path]:
    """Return the regular files of the landing folder by digest; of equal ones the first."""
    found: dict[str, Path] = {}
    for path in sorted(night.settings.landing.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "stations.yaml":
            found.setdefault(file_digest(path), path)
    return found


def _seal(
    night: Night, store: Store, station: str, digest: str, source: Path, now: datetime
) -> None:
    day = night.business_date.isoformat()
    box = DayBox(store.provider, "archive", station, day)
    target = night.settings.archive / station / day / f"{digest}.sealed"
    _write(source, target, box)
    copy = hashlib.sha256()
    for block in open_archived(target, box):
        copy.update(block)
    if copy.hexdigest() != digest:
        raise SetupProblem("archive.does_not_read_back", file=target.name)
    payload = {"path": source.relative_to(night.settings.landing).as_posix(), "digest": digest}
    with store.begin() as connection:
        statement = "INSERT INTO outbox (kind, payload) VALUES ('remove_landing', :payload)"
        full = {**payload, "landing": str(night.settings.landing)}
        connection.execute(text(statement), {"payload": json.dumps(full)})
        facts = {"station": station, "file": digest}
        journal.append(connection, "archive", night.run, now, facts)


def _write(source: Path, target: Path, box: DayBox) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_suffix(".partial")
    with source.open("rb") as reader, partial.open("wb") as writer:
        writer.write(_MAGIC)
        number, block = 0, reader.read(_BLOCK)
        while True:
            following = reader.read(_BLOCK)
            flag = b"\0" if following else b"\1"
            (sealed,) = box.seal([number.to_bytes(8, "big") + flag + block])
            writer.write(len(sealed).to_bytes(4, "big") + sealed)
            if not following:
                break
            number, block = number + 1, following
        writer.flush()
        os.fsync(writer.fileno())
    os.replace(partial, target)


def _empty_outbox(store: Store) -> None:
    query = "SELECT id, payload FROM outbox WHERE kind = 'remove_landing' AND NOT done ORDER BY id"
    with store.begin() as connection:
        for row, payload in connection.execute(text(query)).all():
            path = Path(payload["landing"]) / payload["path"]
            if path.is_file() and file_digest(path) == payload["digest"]:
                path.unlink()
            done = text("UPDATE outbox SET done = true WHERE id = :id")
            connection.execute(done, {"id": row})
