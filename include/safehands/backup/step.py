"""The nightly step: one snapshot of the store into the repository, verified, then recorded.

Order of events, so that a kill at any moment leaves the store and the repository consistent:

1. clear up what a killed backup announced and never recorded;
2. read people's tables from one snapshot, write what changed, read it back;
3. if this content was backed up before, stop: nothing new happens;
4. the evidence tables and the key segment in the same way, the manifest last;
5. one transaction: the claim, the generation, its objects, the ledger entry;
6. remove key segments that are no longer among the newest two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.content import content_digest, to_parquet
from safehands.backup.keysegment import (
    PART,
    Salts,
    kind_counts,
    segment_name,
    segment_number,
    without_keys,
)
from safehands.backup.manifest import Generation, Manifest, Part, Segment, seal_manifest
from safehands.backup.parts import Slice, count, slices
from safehands.backup.reading import Raw, read_rows
from safehands.backup.recipients import recipients
from safehands.backup.repository import (
    KEYS,
    MANIFESTS,
    Repository,
    digest,
    manifest_name,
    object_name,
)
from safehands.backup.tables import Table, tables
from safehands.datasets import Outcome
from safehands.errors import BackupBroken
from safehands.keys import age
from safehands.keys.provider import digest_key
from safehands.ledger import canonical_json
from safehands.night import Night
from safehands.store import Store, driver, lock
from safehands.store.effects import Claim, find, input_digest, make

__all__ = ["DIGEST_PURPOSE", "backup"]

DIGEST_PURPOSE = "backup"

_SEGMENTS_KEPT = 2


def backup(night: Night, store: Store, now: datetime) -> Outcome:
    """Write a generation of the store into ``night.settings.backups``; ``now`` is its time.

    A second call with nothing changed writes nothing and says ``already``. Counts: ``parts``,
    ``written``, ``unchanged``, ``rows``, ``bytes`` (of all parts and keys), ``lost`` (files
    recorded earlier that are gone from the folder). Details: ``manifest``, ``manifest_digest``,
    ``checkpoint``, ``repository``.

    Raises ``BackupBroken`` when something cannot be read whole, written or read back, and
    ``KeyProblem`` without recipients. The age identity is not opened.

    Not promised: that objects of earlier nights are still undamaged (``verify_repository`` reads
    them); only that those still in use are there in their full length.
    """
    repository = Repository(night.settings.backups)
    with _explained(repository), _alone(store) as still_alone:
        readers = recipients(store.provider)
        _clear_up(repository, store)
        journal.sequence(store, now)
        job = _Job(night, store, now, repository, readers, _memory(repository, store))
        draft = _draft(job)
        return draft if isinstance(draft, Outcome) else _publish(job, draft, still_alone)


@dataclass(frozen=True)
class _Memory:
    """What earlier nights recorded, as far as the folder still has it."""

    parts: Mapping[tuple[str, str], Part]
    generations: tuple[Generation, ...]
    keys: tuple[Segment, ...]
    number: int
    lost_parts: tuple[tuple[str, str], ...]
    lost_files: int

    @property
    def lost(self) -> int:
        """Files that should be in the folder and are not."""
        return len(self.lost_parts) + self.lost_files


@dataclass(frozen=True)
class _Job:
    night: Night
    store: Store
    now: datetime
    repository: Repository
    recipients: list[str]
    memory: _Memory

    @property
    def key(self) -> bytes:
        return digest_key(self.store.provider, DIGEST_PURPOSE)

    def write(self, name_of: Callable[[bytes], str], data: bytes) -> tuple[str, int]:
        """Encrypt, announce, put, read back; return name and size."""
        sealed = age.encrypt(data, self.recipients)
        name: str = name_of(sealed)
        self.repository.announce(name)
        self.repository.put(name, sealed)
        if self.repository.get(name) != sealed:
            raise BackupBroken("backup.differs", file=name)
        return name, len(sealed)


@dataclass
class _Draft:
    """A generation while it is put together."""

    claim: Claim | None = None
    parts: list[Part] = field(default_factory=list)
    written: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    salts: Salts = field(default_factory=Salts)
    checkpoint: str = ""
    revision: str = ""


# Alone, and clear of what was left


@contextmanager
def _alone(store: Store) -> Iterator[Connection]:
    """Hold the backup's lock on a connection of its own; yield it to ask whether it lives."""
    with store.engine("safehands_pipeline").connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SELECT pg_advisory_lock(hashtext('safehands.backup'))"))
        try:
            yield connection
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtext('safehands.backup'))"))


@contextmanager
def _explained(repository: Repository) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise BackupBroken("backup.cannot_write", folder=repository.label, reason=reason) from None


def _clear_up(repository: Repository, store: Store) -> None:
    """Remove what a killed backup wrote and did not record; refuse another store's folder."""
    with store.begin() as connection:
        # A killed backup's commit may still be on its way in the server: wait for it.
        lock(connection, "safehands.backup.commit")
        manifests = _column(connection, "SELECT manifest FROM backup")
        objects = _column(connection, "SELECT object FROM backup_object")
        keys = {segment.name for segment in _newest_keys(connection)}
    for name in set(repository.announced()) - manifests - objects - keys:
        repository.remove(name)
    foreign = set(repository.list(MANIFESTS)) - manifests
    if foreign:
        raise BackupBroken("backup.foreign", folder=repository.label, count=len(foreign))
    _forget_segments(repository, keys)
    repository.settle()


def _forget_segments(repository: Repository, kept: set[str]) -> None:
    for name in set(repository.list(KEYS)) - kept:
        repository.remove(name)


def _column(connection: Connection, query: str) -> set[str]:
    return {str(row[0]) for row in connection.execute(text(query))}


def _newest_keys(connection: Connection) -> tuple[Segment, ...]:
    newest = "SELECT facts -> 'keys' FROM backup ORDER BY id DESC LIMIT 1"
    found = connection.execute(text(newest)).scalar() or []
    return tuple(Segment(**segment) for segment in found)


def _memory(repository: Repository, store: Store) -> _Memory:
    with store.begin() as connection:
        parts = _known_parts(connection)
        manifests = _known_manifests(connection)
        keys = _newest_keys(connection)
        number = connection.execute(text(_NEXT_NUMBER)).scalar_one()
    there = [p for p in parts if repository.size(p.object) == p.bytes]
    segments = tuple(k for k in keys if repository.size(k.name) == k.bytes)
    generations, gone = _present(repository, manifests)
    return _Memory(
        parts={(p.part, p.content): p for p in there},
        generations=generations,
        keys=segments,
        number=int(number),
        lost_parts=tuple(
            {(p.part, p.content) for p in parts} - {(p.part, p.content) for p in there}
        ),
        lost_files=gone + len(keys) - len(segments),
    )


_NEXT_NUMBER = "SELECT 1 + coalesce(max((facts ->> 'number')::int), 0) FROM backup"


def _known_parts(connection: Connection) -> list[Part]:
    query = text("SELECT part, content, object, rows, bytes FROM backup_object")
    return [
        Part(r.part, _table_of(r.part), r.rows, r.bytes, r.object, r.content)
        for r in connection.execute(query)
    ]


def _known_manifests(connection: Connection) -> list[Generation]:
    query = text("SELECT manifest, facts ->> 'manifest_digest' FROM backup ORDER BY id")
    return [Generation(*row) for row in connection.execute(query)]


def _present(
    repository: Repository, manifests: list[Generation]
) -> tuple[tuple[Generation, ...], int]:
    """Return the generations that the folder has, and how many are missing among them.

    Those older than the oldest there are not missing: they were pruned, or lie in a folder that
    was used before.
    """
    there = [repository.size(m.name) is not None for m in manifests]
    kept = tuple(m for m, found in zip(manifests, there, strict=True) if found)
    span = len(manifests) - there.index(True) if kept else 0
    return kept, span - len(kept)


def _table_of(part: str) -> str:
    return part.partition("/")[0]


# Reading the snapshot, writing what changed


def _draft(job: _Job) -> _Draft | Outcome:
    with job.store.begin("safehands_backup") as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        draft, all_tables = _Draft(), tables(connection)
        for table in all_tables:
            if not table.split.evidence:
                _take(job, draft, driver(connection), table)
        claim, earlier = _claim(job, draft)
        if earlier is not None:
            return _already(job, earlier)
        draft.claim = claim
        for table in all_tables:
            if table.split.evidence:
                _take(job, draft, driver(connection), table)
        draft.checkpoint = journal.latest(connection) or ""
        draft.revision = _revision(connection)
        return draft


def _take(job: _Job, draft: _Draft, connection: Raw, table: Table) -> None:
    """Take a table into the draft, part by part, and count it whole as a second opinion."""
    total = 0
    # While one part is encrypted and written, PostgreSQL already reads the next.
    with ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None
        for piece in slices(connection, table):
            rows = read_rows(connection, table, piece.where)
            total += rows.num_rows
            if before is not None:
                before.result()
            before = writer.submit(_keep, job, draft, table, piece, rows) if rows.num_rows else None
        if before is not None:
            before.result()
    whole = count(connection, table)
    if whole != total:
        raise BackupBroken("backup.counts_differ", table=table.name, parts=total, rows=whole)
    draft.rows[table.name] = total


def _keep(job: _Job, draft: _Draft, table: Table, piece: Slice, rows: pa.Table) -> None:
    draft.salts.take(table.name, rows)
    shown = without_keys(rows) if table.name == "subject" else rows
    content = content_digest(shown, job.key)
    known = job.memory.parts.get((piece.part, content))
    if known is None:
        name, size = job.write(object_name, to_parquet(shown, piece.part))
        known = Part(piece.part, table.name, rows.num_rows, size, name, content)
        draft.written += 1
    draft.parts.append(known)


def _revision(connection: Connection) -> str:
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


# Whether it happened before


def _claim(job: _Job, draft: _Draft) -> tuple[Claim, dict[str, Any] | None]:
    """Return the claim of this content, and the recorded result if it holds already.

    When files of a recorded generation are gone from the folder, its claim does not count, and
    the claim is made anew under a higher attempt.
    """
    content = [[part.part, part.content] for part in draft.parts]
    segment = content_digest(draft.salts.table(), job.key)
    attempt = 0
    while True:
        value = input_digest(job.night.business_date.isoformat(), content, segment, attempt)
        claim = Claim("backup", "store", value, job.night.policy.digest)
        with job.store.begin() as connection:
            earlier = find(connection, claim)
        if earlier is None or _intact(job, earlier):
            return claim, earlier
        attempt += 1


def _intact(job: _Job, earlier: Mapping[str, Any]) -> bool:
    named = Generation(earlier["details"]["manifest"], earlier["details"]["manifest_digest"])
    if job.memory.lost_parts or job.memory.lost_files or named not in job.memory.generations:
        return False
    return digest((job.repository.folder / named.name).read_bytes()) == named.digest


def _already(job: _Job, earlier: Mapping[str, Any]) -> Outcome:
    counts = {**earlier["counts"], "written": 0, "unchanged": earlier["counts"]["parts"]}
    return Outcome(job.night.run, "backup", counts, details=earlier["details"], already=True)


# The manifest and the record


def _publish(job: _Job, draft: _Draft, still_alone: Connection) -> Outcome:
    keys = _segments(job, draft)
    manifest = _manifest(job, draft, keys)
    job.repository.sync()
    sealed = seal_manifest(manifest, journal.signing_key(job.store.provider), job.recipients)
    name = manifest_name(manifest.business_date, sealed)
    job.repository.announce(name)
    job.repository.put(name, sealed)
    job.repository.sync()
    job.repository.get(name)
    outcome = _outcome(job, draft, manifest, Generation(name, digest(sealed)))
    still_alone.execute(text("SELECT 1"))
    _record(job, draft, manifest, outcome)
    _forget_segments(job.repository, {segment.name for segment in keys})
    job.repository.settle()
    return outcome


def _segments(job: _Job, draft: _Draft) -> tuple[Segment, ...]:
    """Return the newest two key segments, the newest first; written only when changed."""
    rows = draft.salts.table()
    content = content_digest(rows, job.key)
    kept = job.memory.keys
    if kept and kept[0].content == content:
        return kept
    number = 1 + max((segment_number(n) for n in job.repository.list(KEYS)), default=0)
    data = to_parquet(rows, PART)
    name, size = job.write(lambda sealed: segment_name(number, sealed), data)
    whole = digest(job.repository.get(name))
    fresh = Segment(name, whole, content, size, *kind_counts(rows))
    return (fresh, *kept)[:_SEGMENTS_KEPT]


def _manifest(job: _Job, draft: _Draft, keys: tuple[Segment, ...]) -> Manifest:
    return Manifest(
        number=job.memory.number,
        business_date=job.night.business_date.isoformat(),
        created_at=job.now.isoformat(timespec="seconds"),
        run=job.night.run,
        root=job.store.provider.key_id,
        policy=job.night.policy.digest,
        revision=draft.revision,
        checkpoint=draft.checkpoint,
        tables=draft.rows,
        parts=tuple(draft.parts),
        keys=keys,
        generations=job.memory.generations,
    )


def _outcome(job: _Job, draft: _Draft, manifest: Manifest, itself: Generation) -> Outcome:
    parts = len(manifest.parts)
    counts = {
        "parts": parts,
        "written": draft.written,
        "unchanged": parts - draft.written,
        "rows": sum(manifest.tables.values()),
        "bytes": sum(p.bytes for p in manifest.parts) + manifest.keys[0].bytes,
        "lost": job.memory.lost,
    }
    details = {
        "manifest": itself.name,
        "manifest_digest": itself.digest,
        "checkpoint": manifest.checkpoint,
        "repository": job.repository.label,
    }
    return Outcome(job.night.run, "backup", counts, details=details)


def _record(job: _Job, draft: _Draft, manifest: Manifest, outcome: Outcome) -> None:
    """Commit the claim, the generation, its objects and the ledger entry in one transaction."""
    assert draft.claim is not None
    result = {"counts": outcome.counts, "details": outcome.details}
    with job.store.begin() as connection:
        lock(connection, "safehands.backup.commit")
        if not make(connection, draft.claim, result):
            raise BackupBroken("backup.raced")
        _record_objects(connection, job, manifest)
        _record_generation(connection, job, manifest, outcome)
        journal.append(connection, "backup", job.night.run, job.now, _facts(manifest, outcome))
        _record_step(connection, job, outcome)


def _record_step(connection: Connection, job: _Job, outcome: Outcome) -> None:
    insert = text(
        "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
        " VALUES (:run, :day, '', 'backup', CAST(:counts AS jsonb), '{}', :seconds)"
    )
    values = {
        "run": job.night.run,
        "day": job.night.business_date,
        "counts": json.dumps(dict(outcome.counts)),
        "seconds": job.night.elapsed(),
    }
    connection.execute(insert, values)


def _record_objects(connection: Connection, job: _Job, manifest: Manifest) -> None:
    forget = text("DELETE FROM backup_object WHERE part = :part AND content = :content")
    for part, content in job.memory.lost_parts:
        connection.execute(forget, {"part": part, "content": content})
    insert = text(
        "INSERT INTO backup_object (part, content, object, rows, bytes)"
        " VALUES (:part, :content, :object, :rows, :bytes)"
    )
    fresh = [asdict(p) for p in manifest.parts if (p.part, p.content) not in job.memory.parts]
    if fresh:
        connection.execute(insert, fresh)


def _record_generation(
    connection: Connection, job: _Job, manifest: Manifest, outcome: Outcome
) -> None:
    insert = text(
        "INSERT INTO backup (business_date, manifest, created_at, facts)"
        " VALUES (:day, :manifest, :now, CAST(:facts AS jsonb))"
    )
    keys = [asdict(segment) for segment in manifest.keys]
    facts = {**_facts(manifest, outcome), "number": manifest.number, "keys": keys}
    values = {
        "day": job.night.business_date,
        "manifest": outcome.details["manifest"],
        "now": job.now,
        "facts": canonical_json(facts).decode(),
    }
    connection.execute(insert, values)


def _facts(manifest: Manifest, outcome: Outcome) -> dict[str, Any]:
    return {
        **outcome.counts,
        "manifest": outcome.details["manifest"],
        "manifest_digest": outcome.details["manifest_digest"],
        "tables": dict(manifest.tables),
    }
