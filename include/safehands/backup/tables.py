"""What is backed up and how it is cut into parts. Columns come from the database's own catalogue.

A part is what is written or left alone as one: small enough for memory, cut so that one night
changes few of them. A table that nobody declared here stops the backup: a table that is forgotten
is noticed when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from safehands.errors import BackupBroken

__all__ = [
    "DECLARED",
    "KEY_COLUMNS",
    "LEFT_OUT",
    "PART_ROWS",
    "Column",
    "Kind",
    "Split",
    "Table",
    "tables",
]

Kind = Literal["i2", "i4", "i8", "f8", "bool", "date", "ts", "uuid", "text", "bytes"]

PART_ROWS = 1 << 18
"""Rows that a part holds at most, about; more are cut by the ranges of a UUID or of ids."""


@dataclass(frozen=True)
class Split:
    """How a table is cut: per controller, per month of a time, by UUID ranges, by blocks of ids.

    ``pieces`` is the least number of UUID ranges. ``evidence`` marks what the night writes about
    itself: it is backed up, but its growth alone makes no new generation. ``forward`` marks what
    a restore of an older generation must not roll back: it comes from the newest one then.
    """

    controller: bool = False
    month: str = ""
    uuid: str = ""
    pieces: int = 1
    ids: str = ""
    evidence: bool = False
    forward: bool = False


DECLARED: dict[str, Split] = {
    "subject": Split(controller=True, uuid="subject_id", pieces=16),
    "parcel": Split(controller=True, month="arrived_at", uuid="waybill"),
    "custody": Split(controller=True, uuid="waybill"),
    "preference": Split(controller=True, uuid="subject_id"),
    "tombstone": Split(controller=True, uuid="token", forward=True),
    "quarantine": Split(controller=True, ids="id"),
    "listing": Split(controller=True, uuid="token"),
    "installation": Split(forward=True),
    "controller": Split(forward=True),
    "record_set": Split(forward=True),
    "station": Split(forward=True),
    "controller_key": Split(forward=True),
    "epoch": Split(forward=True),
    "root_key": Split(forward=True),
    "former_key": Split(forward=True),
    "backup_lineage": Split(forward=True),
    "escrow": Split(forward=True),
    "parcel_held": Split(controller=True, uuid="waybill"),
    "parcel_history": Split(),
    "legal_hold": Split(ids="id", forward=True),
    "correction": Split(controller=True, uuid="subject_id", forward=True),
    "restriction": Split(controller=True, uuid="subject_id", forward=True),
    "notice_version": Split(forward=True),
    "consent_event": Split(ids="id", forward=True),
    "suppression": Split(controller=True, uuid="token", forward=True),
    "handover": Split(forward=True),
    "handover_event": Split(ids="id", forward=True),
    "handover_subject": Split(controller=True, uuid="subject_id", forward=True),
    "subject_request": Split(controller=True, forward=True),
    "agreement": Split(forward=True),
    "disclosure": Split(ids="id", forward=True),
    "disclosure_subject": Split(ids="id", forward=True),
    "incident": Split(ids="id", forward=True),
    "incident_event": Split(ids="id", forward=True),
    "complaint": Split(ids="id", forward=True),
    "access_log": Split(ids="id", evidence=True, forward=True),
    "login_controller": Split(forward=True),
    "batch": Split(ids="id"),
    "step_result": Split(ids="id", evidence=True),
    "quality_result": Split(ids="id", evidence=True),
    "quality_night": Split(evidence=True),
    "held_figure": Split(evidence=True),
    "risk_assessment": Split(ids="id", evidence=True),
    "control_evidence": Split(ids="id", forward=True),
    "rule_figure": Split(ids="id", evidence=True, forward=True),
    "rule_result": Split(ids="id", evidence=True, forward=True),
    "finding": Split(ids="id", forward=True),
    "pipia": Split(forward=True),
    "pipia_answer": Split(ids="id", forward=True),
    "pipia_event": Split(ids="id", forward=True),
    "erasure": Split(evidence=True, forward=True),
    "erasure_subject": Split(evidence=True, forward=True),
    "epoch_turn": Split(evidence=True, forward=True),
    "generation_proof": Split(ids="id", evidence=True, forward=True),
    "restore_drill": Split(ids="id", evidence=True, forward=True),
    "effect": Split(evidence=True),
    "ledger_entry": Split(ids="id", evidence=True, forward=True),
    "ledger_checkpoint": Split(evidence=True, forward=True),
}

_REPOSITORY = "describes the repository itself; a restore rebuilds it from the manifests"
LEFT_OUT: dict[str, str] = {
    "backup": _REPOSITORY,
    "backup_object": _REPOSITORY,
    "backup_reference": _REPOSITORY,
    "prune": "describes the repository itself; the ledger has what was removed, and when",
    "change_consumer": "entered by the migrations",
    "change_note": "what was not read since the last time; a restored store is read whole",
    "person_figure": "derived from parcels; a restored store makes it anew",
    "month_figure": "derived from parcels; a restored store makes it anew",
    "outbox": "effects that a restored store must not send or remove a second time",
    "alembic_version": "stands in the manifest as the schema's revision",
}

KEY_COLUMNS = ("lookup", "epoch", "wrapped_salt")
"""Columns of ``subject`` that lie in the key segment and nowhere else in the repository."""

_KINDS: dict[str, Kind] = {
    "int2": "i2",
    "int4": "i4",
    "int8": "i8",
    "float8": "f8",
    "bool": "bool",
    "date": "date",
    "timestamptz": "ts",
    "uuid": "uuid",
    "text": "text",
    "jsonb": "text",
    "bytea": "bytes",
}


@dataclass(frozen=True)
class Column:
    """One column: its name, how its values are laid out, whether a value may be missing."""

    name: str
    kind: Kind
    nullable: bool


@dataclass(frozen=True)
class Table:
    """One table: columns in the database's order, the columns of its primary key, its cut."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    split: Split


def tables(connection: Connection) -> list[Table]:
    """Return the tables to back up, those that people's rows lie in first.

    Raises ``BackupBroken`` for a table that is not declared, that the backup's role cannot see
    whole, or that has a column of an unknown type.
    """
    _check_declared(connection)
    _check_sight(connection)
    columns, keys = _columns(connection), _keys(connection)
    return [
        Table(name, columns[name], keys[name], split)
        for name, split in DECLARED.items()
        if name in columns
    ]


_TABLES = (
    "SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
    " AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
)


def _check_declared(connection: Connection) -> None:
    found = {str(row.relname) for row in connection.execute(text(_TABLES))}
    for name in sorted(found - DECLARED.keys() - LEFT_OUT.keys()):
        raise BackupBroken("backup.undeclared_table", table=name)


# A role that row-level security filters gets an empty result and no error, so the permission to
# see every row is looked up before an empty table is believed.
_SIGHT = """
SELECT c.relname, has_table_privilege(c.oid, 'SELECT') AND (NOT c.relrowsecurity OR (
    EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
            AND p.polcmd IN ('r', '*') AND me.oid = ANY (p.polroles)
            AND pg_get_expr(p.polqual, p.polrelid) = 'true')
    AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive
            AND p.polcmd IN ('r', '*') AND p.polroles && ARRAY[me.oid, 0::oid]))) AS whole
FROM pg_class c, pg_roles me
WHERE me.rolname = current_user AND c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


def _check_sight(connection: Connection) -> None:
    for row in connection.execute(text(_SIGHT)):
        if row.relname in DECLARED and not row.whole:
            raise BackupBroken("backup.blind", table=str(row.relname))


def _columns(connection: Connection) -> dict[str, tuple[Column, ...]]:
    query = text(
        "SELECT t.relname, a.attname, y.typname, a.attnotnull"
        f" FROM ({_TABLES}) t"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type y ON y.oid = a.atttypid ORDER BY t.relname, a.attnum"
    )
    found: dict[str, tuple[Column, ...]] = {}
    for table, name, kind, required in connection.execute(query):
        if table in DECLARED:
            column = Column(name, _kind(table, name, kind), not required)
            found[table] = (*found.get(table, ()), column)
    return found


def _kind(table: str, column: str, kind: str) -> Kind:
    if kind not in _KINDS:
        raise BackupBroken("backup.unknown_type", table=table, column=column)
    return _KINDS[kind]


def _keys(connection: Connection) -> dict[str, tuple[str, ...]]:
    query = text(
        "SELECT t.relname, array_agg(a.attname::text ORDER BY k.place)"
        f" FROM ({_TABLES}) t JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary"
        " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (attnum, place)"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum GROUP BY t.relname"
    )
    return {str(row[0]): tuple(row[1]) for row in connection.execute(query)}
