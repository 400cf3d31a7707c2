"""Load tables into an empty database: one transaction, as the owner of the tables.

Row-level security is forced on the owner too, and COPY refuses such a table; so it is not forced
while this transaction lasts, which nobody else can see. Triggers stand still: what they recorded
is among the rows that come back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import pyarrow as pa
from psycopg import sql
from sqlalchemy import Connection, text

from safehands.backup.tables import Table
from safehands.errors import BackupBroken
from safehands.restore.rows import HEAD, TAIL, encode
from safehands.store import driver
from safehands.store.changes import note_everything

__all__ = ["Layout", "Loader", "check_empty", "loading_order", "read_layout"]

_CLAIMS = ("installation", "root_key")
"""Hold a row as soon as a database is prepared: whose root key it belongs to."""

_PREPARED = ("alembic_version", "change_consumer", "change_note")
"""Hold rows of nobody as soon as a database is prepared: they come with the schema."""


@dataclass(frozen=True)
class Layout:
    """What the catalogue says of the target beyond columns.

    ``json`` and ``identities`` are columns by table, ``forced`` tables with forced row security,
    ``bound`` tables with a foreign key to ``subject``.
    """

    json: dict[str, set[str]] = field(default_factory=dict)
    identities: dict[str, list[str]] = field(default_factory=dict)
    forced: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()


def check_empty(connection: Connection) -> None:
    """Raise ``BackupBroken`` when any table holds a row that preparing it did not put there."""
    query = text(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    )
    for (name,) in connection.execute(query).all():
        if name not in (*_CLAIMS, *_PREPARED):
            found = text(f'SELECT EXISTS (SELECT FROM "{name}")')
            if connection.execute(found).scalar():
                raise BackupBroken("restore.not_empty", table=str(name))


NAMED_BY_TOKEN = {"listing": ("subject", "parcel", "parcel_held")}
"""Tables that name people and parcels by a token and not by a foreign key."""


def loading_order(connection: Connection, tables: Iterable[Table]) -> list[Table]:
    """Return the tables so that each comes after those that its foreign keys or tokens name."""
    known = {table.name: table for table in tables}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for child, parents in NAMED_BY_TOKEN.items():
        if child in known:
            graph[child] = {parent for parent in parents if parent in known}
    query = text(
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid <> confrelid"
    )
    for child, parent in connection.execute(query):
        if child in known and parent in known:
            graph[child].add(parent)
    return [known[name] for name in TopologicalSorter(graph).static_order()]


def read_layout(connection: Connection) -> Layout:
    """Read the catalogue once, before anything is loaded."""
    columns = text(
        "SELECT c.relname, a.attname, y.typname = 'jsonb', a.attidentity <> ''"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    )
    found = Layout(forced=_names(connection, _FORCED), bound=_names(connection, _BOUND))
    for table, column, is_json, is_identity in connection.execute(columns):
        if is_json:
            found.json.setdefault(table, set()).add(column)
        if is_identity:
            found.identities.setdefault(table, []).append(column)
    return found


_NOTING = (
    "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE c.relnamespace = 'public'::regnamespace AND t.tgname LIKE 'note\\_%'"
    " AND t.tgenabled = 'O' ORDER BY 1, 2"
)
_FORCED = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relforcerowsecurity"
)
_BOUND = (
    "SELECT conrelid::regclass::text FROM pg_constraint"
    " WHERE contype = 'f' AND confrelid = 'subject'::regclass"
)


def _names(connection: Connection, query: str) -> frozenset[str]:
    return frozenset(str(row[0]) for row in connection.execute(text(query)))


class Loader:
    """Loads parts into the tables of one open transaction."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection, self._layout = connection, layout

    def open(self, tables: Collection[Table]) -> None:
        """Make the tables take rows: no forced row security, no triggers, no claim."""
        self._alter(self._layout.forced, "NO FORCE ROW LEVEL SECURITY")
        self._alter([table.name for table in tables], "DISABLE TRIGGER USER")
        for table in tables:
            if table.name in _CLAIMS:
                self._connection.execute(text(f"DELETE FROM {table.name}"))

    def close(self, tables: Collection[Table]) -> None:
        """Put back what ``open`` took away, and let identities go on after the highest."""
        self._alter([table.name for table in tables], "ENABLE TRIGGER USER")
        self._watch_again()
        self._alter(self._layout.forced, "FORCE ROW LEVEL SECURITY")
        for table, columns in self._layout.identities.items():
            for column in columns:
                self._advance(table, column)

    def _watch_again(self) -> None:
        """Let changes be noted as before, and note that all of this came without a note.

        A generation of an older schema is loaded before there are notes.
        """
        for table, trigger in self._connection.execute(text(_NOTING)).all():
            statement = f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER "{trigger}"'
            self._connection.execute(text(statement))
        if self._connection.execute(text("SELECT to_regclass('change_note')")).scalar():
            note_everything(self._connection)

    def month(self, month: str) -> None:
        """Make the partition of a month, ``YYYYMM``."""
        first = f"{month[:4]}-{month[4:]}-01"
        self._connection.execute(text("SELECT add_month(CAST(:first AS date))"), {"first": first})

    def copy(self, table: Table, rows: pa.Table) -> None:
        """Load rows whose columns are the table's, in any order."""
        self._copy_into(sql.Identifier(table.name), table, rows)

    def _copy_into(self, into: sql.Identifier, table: Table, rows: pa.Table) -> None:
        _check_columns(table, rows)
        raw = driver(self._connection)
        names = sql.SQL(", ").join(sql.Identifier(name) for name in rows.column_names)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
        with raw.cursor().copy(statement.format(into, names)) as copy:
            copy.write(HEAD)
            for piece in encode(rows, self._layout.json.get(table.name, ())):
                copy.write(piece)
            copy.write(TAIL)

    def replace(self, table: Table, pieces: Sequence[pa.Table]) -> None:
        """Make the rows of ``table`` those of ``pieces``, whatever names them by foreign keys."""
        staged, name = sql.Identifier(f"staged_{table.name}"), sql.Identifier(table.name)
        raw = driver(self._connection)
        like = sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP")
        raw.execute(like.format(staged, name))
        for rows in pieces:
            self._copy_into(staged, table, rows)
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        others = [c.name for c in table.columns if c.name not in table.key]
        sets = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(other)) for other in others
        )
        gone = sql.SQL("DELETE FROM {0} WHERE ({2}) NOT IN (SELECT {2} FROM {1})")
        raw.execute(gone.format(name, staged, key))
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
        action = sql.SQL("UPDATE SET {}").format(sets) if others else sql.SQL("NOTHING")
        insert = sql.SQL(
            "INSERT INTO {0} ({2}) OVERRIDING SYSTEM VALUE SELECT {2} FROM {1}"
            " ON CONFLICT ({3}) DO {4}"
        )
        raw.execute(insert.format(name, staged, names, key, action))

    def _alter(self, tables: Iterable[str], how: str) -> None:
        for name in sorted(tables):
            self._connection.execute(text(f'ALTER TABLE "{name}" {how}'))

    def _advance(self, table: str, column: str) -> None:
        # The value of a sequence is kept whatever becomes of the transaction: no harm, since a
        # number that is left out means nothing.
        self._connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max(\"{column}\"))"
                f' FROM "{table}" HAVING max("{column}") IS NOT NULL'
            )
        )


def _check_columns(table: Table, rows: pa.Table) -> None:
    wanted: set[str] = {column.name for column in table.columns}
    if set(rows.column_names) != wanted:
        raise BackupBroken("backup.part", part=table.name, what="columns")
