"""The nightly step: one snapshot of the store into the repository, verified, then recorded.

Order of events, so that a kill at any moment leaves the store and the repository consistent:

1. clear up what a killed backup announced and never recorded;
2. read what changed of people's tables (``unread``) from one snapshot, write it, read it back;
3. if this content was backed up before, stop: nothing new happens;
4. the evidence tables and the key segment in the same way, the manifest last;
5. one transaction: the claim, the generation, its objects, the ledger entry; the notes of changes
   that were seen are deleted;
6. remove key segments that are no longer among the newest two.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.content import content_digest, to_parquet
from safehands.backup.keysegment import (
    PART,
    SEGMENT_TABLES,
    Salts,
    key_table,
    kind_counts,
    segment_name,
    segment_number,
    without_keys,
)
from safehands.backup.manifest import Generation, Manifest, Part, Segment, seal_manifest
from safehands.backup.memory import Memory, remember
from safehands.backup.parts import Group, Slice, count, group_of, slices
from safehands.backup.place import open_repository
from safehands.backup.reading import Raw, read_rows
from safehands.backup.recipients import recipients
from safehands.backup.removal import forget_notes
from safehands.backup.repository import (
    KEYS,
    Repository,
    digest,
    manifest_name,
    object_name,
)
from safehands.backup.tables import Table, tables
from safehands.backup.unread import CONSUMER, Known, Piece, fingerprint, know, pieces
from safehands.backup.upkeep import alone, clear_up, explained, forget_segments
from safehands.datasets import Outcome
from safehands.errors import BackupBroken
from safehands.keys import age
from safehands.keys.provider import digest_key
from safehands.ledger import canonical_json
from safehands.night import Night
from safehands.store import Store, driver, lock
from safehands.store.changes import forget_changes, note_everything
from safehands.store.effects import Claim, find, input_digest, make

__all__ = ["DIGEST_PURPOSE", "backup", "record_references"]

DIGEST_PURPOSE = "backup"

_SEGMENTS_KEPT = 2


def backup(night: Night, store: Store, now: datetime) -> Outcome:
    """Write a generation of the store into ``night.settings.backups``; ``now`` is its time.

    A second call with nothing changed writes nothing and says ``already``. Counts: ``parts``,
    ``written``, ``unchanged``, ``unread`` (unchanged, and not even read), ``rows``, ``bytes`` (of
    all parts and keys), ``lost`` (files recorded earlier that are gone from the folder). Details:
    ``manifest``, ``manifest_digest``, ``checkpoint``, ``repository``.

    Raises ``BackupBroken`` when something cannot be read whole, written or read back, or changed
    without a note; ``KeyProblem`` without recipients. The age identity is not opened.

    Not promised: that objects of earlier nights are still undamaged (``verify_repository`` reads
    them); only that those still in use are there in their full length.
    """
    repository = open_repository(night.settings)
    with explained(repository), alone(store) as still_alone:
        readers = recipients(store.provider)
        clear_up(repository, store)
        journal.sequence(store, now)
        job = _Job(night, store, now, repository, readers, remember(repository, store))
        draft = _draft(job)
        if isinstance(draft, _Draft) and draft.surprises:
            raise _surprised(job, draft)
        return draft if isinstance(draft, Outcome) else _publish(job, draft, still_alone)


@dataclass(frozen=True)
class _Job:
    night: Night
    store: Store
    now: datetime
    repository: Repository
    recipients: list[str]
    memory: Memory

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

    known: Known
    reading: str
    claim: Claim | None = None
    parts: list[Part] = field(default_factory=list)
    written: int = 0
    unread: int = 0
    surprises: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    salts: Salts = field(default_factory=Salts)
    segment: str = ""
    checkpoint: str = ""
    revision: str = ""
    lineage: int = 0


# Reading the snapshot, writing what changed


def _draft(job: _Job) -> _Draft | Outcome:
    with job.store.begin("safehands_backup") as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        all_tables = tables(connection)
        draft = _begin(job, connection, all_tables)
        for table in all_tables:
            if not table.split.evidence:
                _take(job, draft, driver(connection), table)
        if draft.surprises:
            return draft
        claim, earlier = _claim(job, draft)
        if earlier is not None:
            return _already(job, earlier)
        draft.claim = claim
        for table in all_tables:
            if table.split.evidence:
                _take(job, draft, driver(connection), table)
        draft.checkpoint = journal.latest(connection) or ""
        return draft


def _begin(job: _Job, connection: Connection, all_tables: list[Table]) -> _Draft:
    revision, lineage = _revision(connection), _lineage(connection)
    reading = fingerprint(job.key, revision, lineage, all_tables)
    whole_days = job.night.settings.backup_whole_days
    known = know(connection, job.memory, reading, job.night.business_date, whole_days)
    return _Draft(known, reading, revision=revision, lineage=lineage)


def _take(job: _Job, draft: _Draft, connection: Raw, table: Table) -> None:
    """Take a table into the draft, part by part, and count as a second opinion."""
    counts: dict[Group, int] | None = None
    if draft.known.unread(table.name):
        found, counts = pieces(connection, table, draft.known)
    else:
        found = [Piece(one) for one in slices(connection, table)]
    before = len(draft.parts)
    _take_pieces(job, draft, connection, table, found)
    taken = draft.parts[before:]
    draft.rows[table.name] = sum(part.rows for part in taken)
    draft.surprises += draft.known.surprises(table.name, {p.part: p.content for p in taken})
    if counts is None:
        _compare(table, draft.rows[table.name], count(connection, table))
    else:
        draft.surprises += _other_counts(table, counts, taken, found)


def _take_pieces(
    job: _Job, draft: _Draft, connection: Raw, table: Table, found: list[Piece]
) -> None:
    # While one part is encrypted and written, PostgreSQL already reads the next.
    with ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None
        for piece in found:
            if piece.known is None:
                rows = read_rows(connection, table, piece.slice.where)
            else:
                rows = _keys_of(draft, connection, table, piece)
            if before is not None:
                before.result()
            before = None
            if piece.known is not None:
                _take_over(draft, table, piece.known, rows)
            elif rows is not None and rows.num_rows:
                before = writer.submit(_keep, job, draft, table, piece.slice, rows)
        if before is not None:
            before.result()


def _keys_of(draft: _Draft, connection: Raw, table: Table, piece: Piece) -> pa.Table | None:
    """Read of a part that is taken over what belongs into the key segment, if that changed."""
    if draft.known.keys or table.name not in SEGMENT_TABLES:
        return None
    return read_rows(connection, key_table(table), piece.slice.where)


def _take_over(draft: _Draft, table: Table, known: Part, keys: pa.Table | None) -> None:
    if keys is not None:
        draft.salts.take(table.name, keys)
    draft.parts.append(known)
    draft.unread += 1


def _compare(table: Table, parts: int, whole: int) -> None:
    if whole != parts:
        raise BackupBroken("backup.counts_differ", table=table.name, parts=parts, rows=whole)


def _other_counts(
    table: Table, counts: Mapping[Group, int], taken: list[Part], found: list[Piece]
) -> list[str]:
    """Return parts that were taken over where the database counts other rows than they add up to.

    Raises ``BackupBroken`` where everything was read and still does not add up.
    """
    sums = Counter[Group]()
    for part in taken:
        sums[group_of(part.part)] += part.rows
    wrong = {group for group, rows in counts.items() if sums[group] != rows}
    over = [p.known.part for p in found if p.known and group_of(p.known.part) in wrong]
    for group in wrong - {group_of(name) for name in over}:
        _compare(table, sums[group], counts[group])
    return over


def _surprised(job: _Job, draft: _Draft) -> BackupBroken:
    """Record that parts changed without a note, and let the next backup read everything."""
    names = sorted({part.partition("/")[0] for part in draft.surprises})
    count = len(set(draft.surprises))
    with job.store.begin() as connection:
        note_everything(connection, CONSUMER)
        facts = {"tables": names, "parts": count}
        journal.append(connection, "backup_unnoticed", job.night.run, job.now, facts)
    return BackupBroken("backup.unnoticed", tables=", ".join(names), parts=count)


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


def _lineage(connection: Connection) -> int:
    newest = text("SELECT coalesce(max(number), 0) FROM backup_lineage")
    return int(connection.execute(newest).scalar_one())


# Whether it happened before


def _claim(job: _Job, draft: _Draft) -> tuple[Claim, dict[str, Any] | None]:
    """Return the claim of this content, and the recorded result if it holds already.

    When files of a recorded generation are gone from the folder, its claim does not count, and
    the claim is made anew under a higher attempt.
    """
    content = [[part.part, part.content] for part in draft.parts]
    segment = _segment_content(job, draft)
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
    return job.repository.holds(named.name, named.digest)


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
    forget_segments(job.repository, {segment.name for segment in keys})
    forget_notes(job.repository, job.store)
    job.repository.settle()
    return outcome


def _segments(job: _Job, draft: _Draft) -> tuple[Segment, ...]:
    """Return the newest two key segments, the newest first; written only when changed."""
    content = _segment_content(job, draft)
    kept = job.memory.keys
    if kept and kept[0].content == content:
        return kept
    rows = draft.salts.table()
    number = 1 + max((segment_number(n) for n in job.repository.list(KEYS)), default=0)
    data = to_parquet(rows, PART)
    name, size = job.write(lambda sealed: segment_name(number, sealed), data)
    whole = digest(job.repository.get(name))
    fresh = Segment(name, whole, content, size, *kind_counts(rows))
    return (fresh, *kept)[:_SEGMENTS_KEPT]


def _segment_content(job: _Job, draft: _Draft) -> str:
    if draft.known.keys:
        return job.memory.keys[0].content
    if not draft.segment:
        draft.segment = content_digest(draft.salts.table(), job.key)
    return draft.segment


def _manifest(job: _Job, draft: _Draft, keys: tuple[Segment, ...]) -> Manifest:
    return Manifest(
        number=job.memory.number,
        business_date=job.night.business_date.isoformat(),
        created_at=job.now.isoformat(timespec="seconds"),
        run=job.night.run,
        root=job.store.provider.key_id,
        policy=job.night.policy.digest,
        revision=draft.revision,
        lineage=draft.lineage,
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
        "unread": draft.unread,
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
        _record_generation(connection, job, manifest, outcome, draft)
        forget_changes(connection, draft.known.changes)
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
    connection: Connection, job: _Job, manifest: Manifest, outcome: Outcome, draft: _Draft
) -> None:
    insert = text(
        "INSERT INTO backup (business_date, manifest, created_at, facts)"
        " VALUES (:day, :manifest, :now, CAST(:facts AS jsonb))"
    )
    keys = [asdict(segment) for segment in manifest.keys]
    facts = {
        **_facts(manifest, outcome),
        "number": manifest.number,
        "lineage": manifest.lineage,
        "keys": keys,
        "reading": draft.reading,
        "read_whole_on": draft.known.read_on.isoformat(),
    }
    values = {
        "day": job.night.business_date,
        "manifest": outcome.details["manifest"],
        "now": job.now,
        "facts": canonical_json(facts).decode(),
    }
    connection.execute(insert, values)
    record_references(connection, values["manifest"], manifest)


def record_references(connection: Connection, name: str, manifest: Manifest) -> None:
    """Record which objects the generation ``name`` needs, so that a prune leaves them."""
    insert = text("INSERT INTO backup_reference (manifest, object) VALUES (:manifest, :object)")
    objects = sorted({part.object for part in manifest.parts})
    if objects:
        connection.execute(insert, [{"manifest": name, "object": one} for one in objects])


def _facts(manifest: Manifest, outcome: Outcome) -> dict[str, Any]:
    return {
        **outcome.counts,
        "manifest": outcome.details["manifest"],
        "manifest_digest": outcome.details["manifest_digest"],
        "tables": dict(manifest.tables),
    }
