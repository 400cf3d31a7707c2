"""Which parts need not be read tonight, because it is known that nothing in them changed.

A part is taken over unread only if all of this holds, seen in the backup's own snapshot:

- no note says that rows of it came, went or changed (``safehands.store.changes``), and the table's
  triggers are all switched on;
- the newest recorded generation holds it, and its object is in the repository in full length;
- that generation was read the same way: same key, schema, columns and backup lineage;
- its month is there.

Anything else is read: after a kill, a restore, a migration, a change of keys, in a new folder. The
notes are deleted in the transaction that records the generation.

The second opinion that a count of the whole table was is now one count for every owner's month (or
owner) near which anything is read: it must be the sum of what is read and taken over there. And
every ``SAFEHANDS_BACKUP_WHOLE_DAYS`` everything is read all the same; a part that would have been
taken over and turns out to be another is a finding, and the backup fails.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from safehands.backup.keysegment import SEGMENT_TABLES
from safehands.backup.manifest import Part
from safehands.backup.memory import Memory
from safehands.backup.parts import Group, Slice, counted, group_of, order_of, slice_of
from safehands.backup.reading import Raw
from safehands.backup.tables import DECLARED, PART_ROWS, Table
from safehands.ledger import canonical_json
from safehands.store.changes import Changes, read_changes, watched
from safehands.store.months import parcel_months

__all__ = ["CONSUMER", "Known", "Piece", "fingerprint", "know", "pieces"]

CONSUMER = "backup"
"""The name under which changes are noted for the backup."""

_DIGITS = "0123456789abcdef"


@dataclass(frozen=True)
class Known:
    """What the newest recorded generation says, as far as tonight may build on it.

    ``recorded``: its parts of tables that are watched, by table and name; empty when nothing can
    be taken over. ``there``: those whose object is in the repository. ``whole``: everything is
    read, and what nothing touched must come out as it is recorded. ``read_on``: the business date
    on which everything was read last. ``keys``: the key segment holds what it must, unread.
    """

    changes: Changes
    whole: bool
    read_on: date
    recorded: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    months: frozenset[str] = frozenset()
    keys: bool = False

    def unread(self, table: str) -> dict[str, Part]:
        """Return the parts of a table that are taken over without being read, by name."""
        found = {} if self.whole else self.recorded.get(table, {})
        return {n: p for n, p in found.items() if n in self.there and not self.touched(table, n)}

    def touched(self, table: str, part: str) -> bool:
        """Say whether a note touches the part, or its month is not there."""
        controller = int(group_of(part)[0])
        if DECLARED[table].month:
            cuts = [group_of(part)[1]]
            if cuts[0] not in self.months:
                return True
        else:
            cuts = _digits(part.rpartition("/")[2])
        return any(self.changes.touched(table, controller, cut) for cut in cuts)

    def surprises(self, table: str, found: Mapping[str, str]) -> list[str]:
        """Return parts that changed without a note; ``found``: contents by part, as all are read.

        One that is found or recorded alone counts only where nothing of its owner (and month) is
        touched: otherwise a table that grew may just be cut into more.
        """
        recorded = self.recorded.get(table)
        if not self.whole or recorded is None:
            return []
        surprising = []
        for name in sorted({*recorded, *found}):
            both = name in recorded and name in found
            if self.touched(table, name) or (both and recorded[name].content == found[name]):
                continue
            if both or not self.near(table, group_of(name)):
                surprising.append(name)
        return surprising

    def near(self, table: str, group: Group) -> bool:
        """Say whether a note touches anything of an owner (and month)."""
        return self.touched(table, f"{table}/{'/'.join(group)}/0of1")


@dataclass(frozen=True)
class Piece:
    """One part of tonight: to be read, or (``known``) to be taken over."""

    slice: Slice
    known: Part | None = None


def fingerprint(key: bytes, revision: str, lineage: int, declared: Iterable[Table]) -> str:
    """Return a keyed digest of how the store is read: with another one, nothing is taken over."""
    how: list[Any] = [PART_ROWS, revision, lineage]
    how += [
        [t.name, *t.key, *(f"{c.name} {c.kind} {c.nullable}" for c in t.columns)] for t in declared
    ]
    return hmac.new(key, b"safehands-reading/1\0" + canonical_json(how), "sha256").hexdigest()


def know(
    connection: Connection, memory: Memory, reading: str, night: date, whole_days: int
) -> Known:
    """Look up what is unchanged since the newest recorded generation.

    ``reading`` is tonight's ``fingerprint``; every ``whole_days`` everything is read.
    """
    changes = read_changes(connection, CONSUMER)
    newest = connection.execute(text(_NEWEST)).mappings().first()
    facts = {} if newest is None else newest["facts"]
    if newest is None or facts.get("reading") != reading or changes.everything:
        return Known(changes, whole=True, read_on=night)
    sure = watched(connection)
    recorded: dict[str, dict[str, Part]] = {name: {} for name in sure & DECLARED.keys()}
    there = set()
    for row in connection.execute(text(_PARTS), {"manifest": newest["manifest"]}):
        part = Part(
            row.part, row.part.partition("/")[0], row.rows, row.bytes, row.object, row.content
        )
        if part.table in recorded:
            recorded[part.table][part.part] = part
            there |= {part.part} if (part.part, part.content) in memory.parts else set()
    read_on = date.fromisoformat(facts["read_whole_on"])
    whole = (night - read_on).days >= whole_days
    return Known(
        changes,
        whole=whole,
        read_on=night if whole else read_on,
        recorded=recorded,
        there=frozenset(there),
        months=frozenset(parcel_months(connection)),
        keys=not whole and _keys_stand(memory, facts, changes, sure),
    )


def _keys_stand(
    memory: Memory, facts: Mapping[str, Any], changes: Changes, sure: frozenset[str]
) -> bool:
    """Say whether the newest generation's segment is there, and nothing in it changed since."""
    names = [one["name"] for one in facts["keys"]]
    there = [one.name for one in memory.keys]
    return there[:1] == names[:1] != [] and all(
        t in sure and not changes.of(t) for t in SEGMENT_TABLES
    )


def pieces(connection: Raw, table: Table, known: Known) -> tuple[list[Piece], dict[Group, int]]:
    """Return tonight's parts of a watched table in their fixed order, and what must add up.

    The counts are those of every group (owner, or owner and month) near which anything is read,
    as the database counts them now.
    """
    unread = known.unread(table.name)
    groups: dict[Group, list[str]] = {}
    for name in known.recorded[table.name]:
        groups.setdefault(group_of(name), []).append(name)
    # A range of ids that held nobody has no part: a note there is only seen near the whole group.
    whole_groups = {
        group
        for group, own in groups.items()
        if all(name in unread for name in own) and not known.near(table.name, group)
    }
    scope = _scope(table, known, groups.keys(), whole_groups)
    place = 1 if table.split.month else 0
    found = counted(connection, table, scope)
    counts = {g: 0 for g in groups if scope is None or g[place] in scope}
    counts |= {group: rows for group, rows, _ in found}
    chosen = {
        name: Piece(slice_of(table, name), unread[name]) for g in whole_groups for name in groups[g]
    }
    for group, _, slices in found:
        if group not in whole_groups:
            chosen |= {one.part: Piece(one, unread.get(one.part)) for one in slices}
    return [chosen[name] for name in sorted(chosen, key=order_of)], counts


def _scope(
    table: Table, known: Known, recorded: Iterable[Group], unread: set[Group]
) -> set[str] | None:
    """Return the months (or owners) to look into; ``None``: all."""
    place = 1 if table.split.month else 0
    notes = {cut[place] for cut in known.changes.of(table.name)}
    if None in notes:
        return None
    scope = {str(one) for one in notes}
    scope |= {group[place] for group in recorded if group not in unread}
    if table.split.month:
        # A month that nothing is recorded of is looked into too: it should be empty.
        scope |= known.months - {group[place] for group in recorded}
    return scope


def _digits(of: str) -> list[str]:
    """Return the first hex digits of the ids in one of so many ranges, e.g. ``3of16``."""
    place, _, count = of.partition("of")
    first, last = int(place) * 16 // int(count), ((int(place) + 1) * 16 - 1) // int(count)
    return list(_DIGITS[first : last + 1])


_NEWEST = "SELECT manifest, facts FROM backup ORDER BY id DESC LIMIT 1"
_PARTS = (
    "SELECT o.part, o.content, o.object, o.rows, o.bytes FROM backup_reference r"
    " JOIN backup_object o USING (object) WHERE r.manifest = :manifest"
)
