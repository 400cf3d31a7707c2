"""Take what a prune decided on out of the repository: once decided, it can be done again and again.

The decision is in the database (``backup.prune_id``). A killed removal is finished by whoever
comes next.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.manifest import Generation
from safehands.backup.pruned import Note, note_name, seal_note
from safehands.backup.repository import PRUNES, Repository
from safehands.ledger import SigningKey
from safehands.store import Store

__all__ = ["finish_prunes", "forget_notes"]


def finish_prunes(repository: Repository, store: Store) -> int:
    """Remove the files of every prune that is not finished; return how many files went."""
    with store.begin() as connection:
        unfinished = connection.execute(text(_UNFINISHED)).all()
    signer = journal.signing_key(store.provider) if unfinished else None
    removed = 0
    for number, newest in unfinished:
        assert signer is not None
        removed += _finish(repository, store, signer, int(number), str(newest))
    return removed


def forget_notes(repository: Repository, store: Store) -> None:
    """Remove the notes of prunes that the newest manifest was written after."""
    with store.begin() as connection:
        current = connection.execute(text(_CURRENT)).scalars()
        kept = tuple(f"{PRUNES}/{int(number):06d}-" for number in current)
    for name in repository.list(PRUNES):
        if not name.startswith(kept or ("-",)):
            repository.remove(name)


def _finish(
    repository: Repository, store: Store, signer: SigningKey, number: int, newest: str
) -> int:
    with store.begin() as connection:
        gone = _generations(connection, number)
        objects = connection.execute(text(_DOOMED), {"id": number}).scalars().all()
    removing = _write(repository, Note(number, "removing", newest, gone), signer)
    # A manifest must not outlive its objects: whoever reads it would miss them.
    for one in gone:
        repository.remove(one.name)
    repository.sync()
    for name in objects:
        repository.remove(str(name))
    repository.sync()
    _write(repository, Note(number, "removed", newest, gone), signer)
    repository.remove(removing)
    repository.sync()
    with store.begin() as connection:
        connection.execute(text(_FORGET), {"id": number})
        connection.execute(text("UPDATE prune SET finished = true WHERE id = :id"), {"id": number})
    return len(gone) + len(objects)


def _write(repository: Repository, note: Note, signer: SigningKey) -> str:
    data = seal_note(note, signer)
    name = note_name(note, data)
    repository.put(name, data)
    repository.sync()
    repository.get(name)
    return name


def _generations(connection: Connection, number: int) -> tuple[Generation, ...]:
    rows = connection.execute(text(_PRUNED), {"id": number})
    return tuple(Generation(str(row[0]), str(row[1])) for row in rows)


_UNFINISHED = "SELECT id, newest FROM prune WHERE NOT finished ORDER BY id"
_CURRENT = (
    "SELECT p.id FROM prune p WHERE p.newest ="
    " (SELECT facts ->> 'manifest_digest' FROM backup ORDER BY id DESC LIMIT 1)"
)
_PRUNED = (
    "SELECT manifest, facts ->> 'manifest_digest' FROM backup WHERE prune_id = :id ORDER BY id"
)
_DOOMED = (
    "SELECT DISTINCT r.object FROM backup_reference r JOIN backup b USING (manifest)"
    " WHERE b.prune_id = :id AND NOT EXISTS (SELECT FROM backup_reference k"
    " JOIN backup s USING (manifest) WHERE s.prune_id IS NULL AND k.object = r.object) ORDER BY 1"
)
_FORGET = (
    "DELETE FROM backup_reference r USING backup b WHERE b.manifest = r.manifest"
    " AND b.prune_id = :id"
)
