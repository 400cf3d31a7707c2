"""The restore drill: can what is in the repository become a store again, and how fast?

Every byte of the repository is read; the newest generation and an older one are restored beside
the store, compared row for row by digest, and every sealed record is opened. What was found is
recorded either way: a drill that failed is as much evidence as one that passed.

RTO, the recovery time objective's measured value: seconds from the first byte read to the last
compared. RPO: everything up to the ``recovery_point`` came back, everything after it would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup import Report, verify_repository
from safehands.backup.manifest import Manifest
from safehands.backup.repository import Repository
from safehands.backup.upkeep import alone
from safehands.certificates import certificate, keep_certificate
from safehands.errors import BackupBroken, KeyProblem, LedgerBroken, SafehandsError
from safehands.ledger import body_digest, canonical_json
from safehands.restore.proving import Proof, Timer, known_newest, record_proof, try_out
from safehands.restore.source import Kept, Source
from safehands.store import Store
from safehands.store.effects import Claim, find, input_digest, make

__all__ = ["KIND", "Drill", "drill", "last_drill"]

KIND = "restore_drill"
FOLDER = "certificates"


@dataclass(frozen=True)
class Drill:
    """A drill that passed. ``body`` is what its certificate says; ``already``: done before."""

    body: dict[str, Any]
    path: Path
    already: bool = False

    @property
    def rto_seconds(self) -> float:
        """Seconds that the newest generation took."""
        return float(self.body["newest"]["milliseconds"]) / 1000


def drill(
    store: Store,
    repository: Repository,
    reports: Path,
    business_date: date,
    now: datetime,
    timer: Timer,
) -> Drill:
    """Practise the restore, record it, and write the certificate below ``reports``.

    The older generation is another one each week. ``timer`` counts seconds. The same generations on
    the same day are drilled once. Raises the first ``BackupBroken``, ``KeyProblem`` or
    ``LedgerBroken`` after recording that the drill failed.
    """
    journal.sequence(store, now)
    try:
        # A backup or a prune that runs meanwhile would make a clean repository look unfinished.
        with alone(store):
            trial = _try(store, repository, business_date, now, timer)
    except (BackupBroken, KeyProblem, LedgerBroken) as problem:
        # A database that does not answer says nothing of the backup: that drill is done again.
        _record_failure(store, business_date, now, problem)
        journal.sequence(store, now)
        raise
    body, already = trial.body, trial.proofs is None
    if trial.proofs is not None:
        with store.begin() as connection:
            if make(connection, trial.claim, body):
                _record(connection, business_date, now, body, *trial.proofs)
        journal.sequence(store, now)
    return Drill(body, _write(store, reports, body), already)


@dataclass(frozen=True)
class _Trial:
    """What was tried; no proofs: it had been done before."""

    claim: Claim
    body: dict[str, Any]
    proofs: tuple[Proof, Proof | None] | None


def _try(store: Store, repository: Repository, day: date, now: datetime, timer: Timer) -> _Trial:
    verifier = journal.signing_key(store.provider).verifier
    report = verify_repository(repository, store.provider, verifier, known_newest(store))
    source = Source(repository, store.provider, verifier)
    older = _older(source, day)
    claim = _claim(source.newest, older, day)
    with store.begin() as connection:
        done = find(connection, claim)
    if done is not None:
        return _Trial(claim, done, None)
    first = try_out(store, repository, verifier, now, timer)
    second = try_out(store, repository, verifier, now, timer, older.name) if older else None
    body = _body(day, now, report, source.newest.manifest, first, second)
    return _Trial(claim, body, (first, second))


def last_drill(connection: Connection) -> dict[str, Any] | None:
    """Return the newest drill: date, whether it passed, generation, RTO and recovery point."""
    row = connection.execute(text(_LAST)).mappings().first()
    return None if row is None else dict(row)


def _older(source: Source, day: date) -> Kept | None:
    older = source.generations[:-1]
    return older[day.toordinal() // 7 % len(older)] if older else None


def _claim(newest: Kept, older: Kept | None, day: date) -> Claim:
    value = input_digest(day.isoformat(), newest.digest, older.digest if older else "")
    return Claim(KIND, "store", value, newest.manifest.policy)


def _body(
    day: date,
    now: datetime,
    report: Report,
    newest: Manifest,
    first: Proof,
    second: Proof | None,
) -> dict[str, Any]:
    created = datetime.fromisoformat(newest.created_at)
    return {
        "business_date": day.isoformat(),
        "ended_at": now.isoformat(timespec="seconds"),
        "recovery_point": newest.created_at,
        "lost_seconds": max(0, int((now - created).total_seconds())),
        "repository": {
            "generations": report.generations,
            "objects": report.objects,
            "bytes": report.bytes,
            "leftovers": report.leftovers,
        },
        "newest": _proof(first),
        "older": _proof(second) if second else None,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    done = proof.restored
    return {
        "generation": done.generation,
        "generation_digest": done.generation_digest,
        "business_date": done.business_date,
        "rows": done.rows,
        "parts": done.parts,
        "left_out": sum(done.left_out.values()),
        "link_cut": sum(done.cut.values()),
        "restricted": done.restricted,
        "people": done.tables.get("subject", 0),
        "tombstones": done.tombstones,
        "ledger_size": done.ledger_size,
        "milliseconds": round(proof.seconds * 1000),
        "store_digest": proof.store_digest,
    }


def _record(
    connection: Connection,
    day: date,
    now: datetime,
    body: dict[str, Any],
    first: Proof,
    second: Proof | None,
) -> None:
    for proof in (first, second):
        if proof is not None:
            record_proof(connection, "drill", proof, now)
    values = {
        "day": day,
        "now": now,
        "manifest": first.restored.generation,
        "older": second.restored.generation if second else None,
        "rto": first.seconds,
        "point": body["recovery_point"],
        "facts": canonical_json(body).decode(),
    }
    connection.execute(text(_PASSED), values)
    facts = {**body, "passed": True}
    journal.append(connection, KIND, KIND, now, facts, body_digest(KIND, body))


def _record_failure(store: Store, day: date, now: datetime, problem: SafehandsError) -> None:
    told = {"key": problem.key, "exit_code": problem.exit_code, "params": dict(problem.params)}
    values = {"day": day, "now": now, "problem": canonical_json(told).decode()}
    with store.begin() as connection:
        connection.execute(text(_FAILED), values)
        facts = {"business_date": day.isoformat(), "passed": False, "problem": problem.key}
        journal.append(connection, KIND, KIND, now, facts)


def _write(store: Store, reports: Path, body: dict[str, Any]) -> Path:
    """Write the certificate; a drill that was killed before it could do so is made up for."""
    short = body["newest"]["generation_digest"][:8]
    path = reports / FOLDER / f"restore-drill-{body['business_date']}-{short}.json"
    if not path.exists():
        keep_certificate(path, certificate(store, KIND, body))
    return path


_PASSED = (
    "INSERT INTO restore_drill (business_date, ended_at, passed, manifest, older, rto_seconds,"
    " recovery_point, facts) VALUES (:day, :now, true, :manifest, :older, :rto,"
    " CAST(:point AS timestamptz), CAST(:facts AS jsonb))"
)
_FAILED = (
    "INSERT INTO restore_drill (business_date, ended_at, passed, problem, facts)"
    " VALUES (:day, :now, false, CAST(:problem AS jsonb), '{}')"
)
_LAST = (
    "SELECT business_date::text AS day, passed, manifest, older, rto_seconds,"
    " recovery_point, problem FROM restore_drill ORDER BY id DESC LIMIT 1"
)
