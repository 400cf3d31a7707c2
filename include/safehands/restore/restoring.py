"""A generation into an empty database, in one transaction that ends only when all of it agrees.

Order of events, so that a kill at any moment leaves an empty database or a whole one:

1. the repository is opened and its manifests are checked; the target must be empty;
2. the target gets the schema that the generation was taken of;
3. one transaction loads every table, leaves out people who are gone, puts back the tables that no
   backup holds, reads everything back, compares it, recomputes the ledger, and records the restore;
4. the schema is brought to the present, keys are tried, and the ledger is numbered.

What must not be rolled back (keys, tombstones, the ledger, owners) comes from the newest
generation, whichever is restored. When the schema has changed between the two, that is a second
transaction after the upgrade; the first one records that it must follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.repository import Repository
from safehands.errors import BackupBroken, KeyProblem
from safehands.ledger import VerifierKey
from safehands.restore.load import check_empty
from safehands.restore.register import record_repository
from safehands.restore.result import Restored
from safehands.restore.source import Kept, Source
from safehands.restore.transaction import (
    load_generation,
    replace_forward,
    replay_restrictions,
)
from safehands.rotation import adopt_root
from safehands.store import Store, lock, prepare_store
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.register import check_keys
from safehands.store.setup import schema_revision

__all__ = ["restore"]

_OWNER = "safehands_owner"
_LOADED, _DONE = "loaded", "store"


def restore(
    repository: Repository,
    target: Store,
    verifier: VerifierKey,
    now: datetime,
    *,
    generation: str | None = None,
    newest: str | None = None,
    for_good: bool = True,
) -> Restored:
    """Restore ``generation`` (default: the newest) of ``repository`` into ``target``.

    The database of ``target.url`` is made when there is none; its provider holds root key, epoch
    keys and identity. ``verifier`` is the ledger's public key. ``newest`` is the SHA-256 of the
    newest manifest as the ledger has it, where somebody knows it. ``for_good``: the restored
    store goes on from here, so its ledger records the restore; a trial's must not, because a
    second ledger of the same length would be signed by the same key. A second call finds the
    work done.

    Raises ``BackupBroken`` for a target that holds rows, for anything in the repository that is not
    as promised and for anything read back that differs; ``LedgerBroken`` when the ledger's head
    is another; ``KeyProblem`` without the identity or with another root key: then nothing has been
    loaded. ``KeyProblem`` for a missing epoch key comes last, when everything is loaded.

    Not promised: that objects of other generations are whole (``verify_repository`` reads them);
    that what the station's own software exports has not changed meanwhile.
    """
    source = Source(repository, target.provider, verifier)
    if newest is not None and source.newest.digest != newest:
        raise BackupBroken("backup.rolled_back", file=source.newest.name)
    job = _Job(source, source.find(generation), target, now, for_good)
    _check_root(job)
    _prepare(job)
    done = _load(job)
    if done is None:
        prepare_store(target, source.newest.manifest.revision)
        done = _advance(job)
    prepare_store(target)
    _settle(job)
    return done


@dataclass(frozen=True)
class _Job:
    source: Source
    chosen: Kept
    target: Store
    now: datetime
    for_good: bool

    @property
    def same_schema(self) -> bool:
        """Whether the newest generation has the same schema as the chosen one."""
        return self.chosen.manifest.revision == self.source.newest.manifest.revision

    def claim(self, scope: str) -> Claim:
        """Return the claim of one phase of this restore."""
        value = input_digest(self.chosen.digest, self.source.newest.digest)
        return Claim("restore", scope, value, self.chosen.manifest.policy)


def _check_root(job: _Job) -> None:
    """The keys that come back must be wrapped by a root key that is here, or still is."""
    newest, found = job.source.newest.manifest, job.target.provider.key_id
    # Data keys of an earlier lineage come from the chosen generation itself.
    own = job.chosen.manifest if job.chosen.manifest.lineage != newest.lineage else newest
    for wanted in (newest.root, own.root):
        if not job.target.provider.opens_root(wanted):
            raise KeyProblem("keys.other_root", wanted=wanted, found=found)


def _prepare(job: _Job) -> None:
    """Give an empty target the generation's schema; one that a run has filled is left as it is."""
    wanted, found = job.chosen.manifest.revision, schema_revision(job.target)
    if found in (None, wanted):
        prepare_store(job.target, wanted)
        return
    with job.target.begin(_OWNER) as connection:
        if not any(find(connection, job.claim(scope)) for scope in (_LOADED, _DONE)):
            check_empty(connection)
            raise BackupBroken("restore.other_schema", found=str(found), wanted=wanted)


def _load(job: _Job) -> Restored | None:
    """Load the generation. ``None``: what the newest one adds follows after the upgrade."""
    with job.target.begin(_OWNER) as connection:
        lock(connection, "safehands.restore")
        done = find(connection, job.claim(_DONE))
        if done is not None:
            return _found(connection, done)
        if find(connection, job.claim(_LOADED)) is not None:
            return None
        check_empty(connection)
        newest = job.source.newest if job.same_schema else job.chosen
        restored = load_generation(connection, job.source, job.chosen, newest)
        adopt_root(connection, job.target.provider)
        if job.same_schema:
            return _finish(job, connection, restored)
        make(connection, job.claim(_LOADED), restored.as_dict())
        return None


def _advance(job: _Job) -> Restored:
    """Replace what must not be rolled back by the newest generation's, in its own schema."""
    with job.target.begin(_OWNER) as connection:
        lock(connection, "safehands.restore")
        done = find(connection, job.claim(_DONE))
        if done is not None:
            return _found(connection, done)
        loaded = find(connection, job.claim(_LOADED))
        if loaded is None:
            raise BackupBroken("restore.raced")
        restored = replace_forward(connection, job.source, job.chosen, Restored(**loaded))
        adopt_root(connection, job.target.provider)
        return _finish(job, connection, restored)


def _finish(job: _Job, connection: Connection, restored: Restored) -> Restored:
    again = replay_restrictions(connection, job.source, job.chosen)
    restored = replace(restored, restricted=again)
    record_repository(connection, job.source.generations)
    make(connection, job.claim(_DONE), restored.as_dict())
    if job.for_good:
        journal.append(connection, "restore", "restore", job.now, restored.facts())
    return restored


def _found(connection: Connection, result: dict[str, Any]) -> Restored:
    """Return the recorded result, if nothing has happened to the store since."""
    restored = Restored(**{**result, "already": True})
    last = connection.execute(text("SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 1"))
    if restored.generation_digest not in str(last.scalar()):
        check_empty(connection)
    return restored


def _settle(job: _Job) -> None:
    """Build what is built after a load, number the ledger, and open every owner's keys."""
    with job.target.begin() as connection:
        connection.execute(text("SELECT settle_load()"))
    if job.for_good:
        journal.sequence(job.target, job.now)
    check_keys(job.target)
