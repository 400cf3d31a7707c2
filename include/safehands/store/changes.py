"""Which rows changed since a reader last looked, as noted by the database itself.

Triggers write a note in the very transaction that changes rows of a watched table (revision 0023),
one for each reader in ``change_consumer``. A reader that keeps results per owner and month works
like this, with ``consumer`` its own name::

    REPEATABLE READ snapshot:   changes = read_changes(connection, consumer)
                                read what ``changes.touched(table, …)`` says, take over the rest
    the recording transaction:  record the results, forget_changes(connection, changes)

The snapshot that shows a change shows its note, and the other way round. Notes that arrive later
have other ids and stay. Killed in between, the notes stay too and the same is read again.

A new reader is entered by a migration::

    LOCK TABLE change_consumer IN ACCESS EXCLUSIVE MODE;  -- waits for whoever writes notes now
    INSERT INTO change_consumer (name) VALUES ('…');
    SELECT note_everything('…');                          -- it has seen nothing yet

Noted are INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE, through ``parcel`` or a month's own
table, by whatever role or function, foreign keys' cascades included; ``drop_month`` and
``drop_old_month``; a restore (everything). Not noted: a table dropped by other means than these
functions, triggers that the tables' owner switched off (``watched`` sees it while they are off),
files exchanged beneath the server. So whoever takes over results also makes them anew now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

__all__ = [
    "WATCHED",
    "Changes",
    "Cut",
    "forget_changes",
    "note_everything",
    "read_changes",
    "watched",
]

Cut = tuple[int | None, str | None]
"""Owner's number and where: a month of arrival (``YYYYMM``) or the first hex digit of an id.

``None`` stands for any.
"""


WATCHED = frozenset(
    {
        "parcel",
        "subject",
        "custody",
        "preference",
        "tombstone",
        "listing",
        "parcel_held",
        "correction",
        "restriction",
        "suppression",
        "handover_subject",
    }
)
"""The tables whose changes are noted."""


@dataclass(frozen=True)
class Changes:
    """The notes that a reader saw. ``everything``: whatever it kept is worth nothing."""

    ids: tuple[int, ...] = ()
    everything: bool = True
    places: Mapping[str, frozenset[Cut]] = field(default_factory=dict)

    def of(self, table: str) -> frozenset[Cut]:
        """Return where rows of ``table`` changed."""
        return frozenset({(None, None)}) if self.everything else self.places.get(table, frozenset())

    def touched(self, table: str, controller: int, cut: str) -> bool:
        """Say whether rows of an owner in ``cut`` came, went or changed."""
        either = {(None, None), (controller, None), (None, cut), (controller, cut)}
        return not either.isdisjoint(self.of(table))


def read_changes(connection: Connection, consumer: str) -> Changes:
    """Return the reader's notes that this transaction's snapshot sees."""
    query = text("SELECT id, place, controller, cut FROM change_note WHERE consumer = :consumer")
    ids: list[int] = []
    places: dict[str, set[Cut]] = {}
    for number, place, controller, cut in connection.execute(query, {"consumer": consumer}):
        ids.append(int(number))
        places.setdefault(place, set()).add((controller, cut))
    kept = {place: frozenset(cuts) for place, cuts in places.items()}
    return Changes(tuple(ids), "" in places, kept)


def forget_changes(connection: Connection, changes: Changes) -> None:
    """Delete the notes that were dealt with, in the transaction that records their results."""
    if changes.ids:
        delete = text("DELETE FROM change_note WHERE id = ANY (:ids)")
        connection.execute(delete, {"ids": list(changes.ids)})


def note_everything(connection: Connection, consumer: str | None = None) -> None:
    """Let a reader, or all of them, begin anew."""
    connection.execute(text("SELECT note_everything(:consumer)"), {"consumer": consumer})


def watched(connection: Connection) -> frozenset[str]:
    """Return the tables whose changes are noted: all their triggers are there and switched on."""
    return frozenset(str(row[0]) for row in connection.execute(text(_WATCHED)))


_WATCHED = """
SELECT c.relname FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND t.tgname IN ('note_insert', 'note_update', 'note_delete', 'note_truncate')
    AND t.tgenabled = 'A' AND NOT EXISTS (
        SELECT FROM pg_inherits i WHERE i.inhparent = c.oid AND NOT EXISTS (
            SELECT FROM pg_trigger m WHERE m.tgrelid = i.inhrelid
            AND m.tgname = 'note_month' AND m.tgenabled = 'A'))
GROUP BY c.relname HAVING count(*) = 4
"""
