"""The one transaction of a restore: load every table, read it back, compare, check the ledger."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.parts import months_of
from safehands.backup.tables import Table, tables
from safehands.errors import BackupBroken, LedgerBroken
from safehands.restore.compare import Expected
from safehands.restore.load import Loader, loading_order, read_layout
from safehands.restore.replay import Replay
from safehands.restore.result import Restored
from safehands.restore.source import Kept, Source

__all__ = ["load_generation", "replace_forward", "replay_restrictions"]

_DATA_KEYS = ("controller_key", "former_key")


def load_generation(connection: Connection, source: Source, chosen: Kept, newest: Kept) -> Restored:
    """Load ``chosen`` into the empty tables of ``connection``'s database and compare.

    Tables that must not be rolled back come from ``newest``, which is ``chosen`` itself while the
    schema of the two differs. Raises ``BackupBroken`` or ``LedgerBroken``.
    """
    declared = tables(connection)
    ordered = loading_order(connection, declared)
    _check_complete(chosen, newest, declared)
    layout = read_layout(connection)
    loader, replay, expected = (
        Loader(connection, layout),
        Replay(source, chosen, layout.bound),
        Expected(),
    )
    loader.open(ordered)
    for table in ordered:
        origin = newest if _comes_forward(table, chosen, newest) else chosen
        _load_table(loader, replay, expected, source, origin, table)
    parts = sum(expected.check(connection, source, table) for table in ordered)
    size = _check_ledger(connection, source, newest)
    graves = _check_tombstones(connection, source) if newest == source.newest else 0
    loader.close(ordered)
    return Restored(
        generation=chosen.name,
        generation_digest=chosen.digest,
        newest=source.newest.name,
        newest_digest=source.newest.digest,
        business_date=chosen.manifest.business_date,
        created_at=chosen.manifest.created_at,
        revision=chosen.manifest.revision,
        tables={table.name: expected.rows(table.name) for table in ordered},
        left_out=dict(replay.left_out),
        cut=dict(replay.cut),
        parts=parts,
        bytes=sum(part.bytes for part in chosen.manifest.parts),
        living=replay.living,
        restricted=0,
        tombstones=graves,
        ledger_size=size,
    )


def replace_forward(
    connection: Connection, source: Source, chosen: Kept, loaded: Restored
) -> Restored:
    """Replace the rows of the tables that must not be rolled back by the newest generation's."""
    newest = source.newest
    ordered = [t for t in loading_order(connection, tables(connection)) if t.split.forward]
    ordered = [t for t in ordered if _comes_forward(t, chosen, newest)]
    layout = read_layout(connection)
    loader, expected = Loader(connection, layout), Expected()
    loader.open(ordered)
    replay = Replay(source, chosen, layout.bound)
    known = connection.execute(text("SELECT uuid_send(subject_id) FROM subject")).scalars()
    replay.know(bytes(one) for one in known)
    for table in ordered:
        pieces = []
        for part, found in source.parts(newest, table.name):
            rows = replay.apply(table, found, newest)
            pieces.append(rows)
            expected.parts[table.name][part.part] = (rows.num_rows, source.digest(rows))
        loader.replace(table, pieces)
    parts = sum(expected.check(connection, source, table) for table in ordered)
    size = _check_ledger(connection, source, newest)
    graves = _check_tombstones(connection, source)
    loader.close(ordered)
    counts = {table.name: expected.rows(table.name) for table in ordered}
    return replace(
        loaded,
        tables={**loaded.tables, **counts},
        parts=loaded.parts + parts,
        ledger_size=size,
        tombstones=graves,
    )


def _comes_forward(table: Table, chosen: Kept, newest: Kept) -> bool:
    """Say whether a table comes from the newest generation.

    Records of an earlier lineage open with the data keys of that lineage alone.
    """
    same_line = chosen.manifest.lineage == newest.manifest.lineage
    return table.split.forward and (same_line or table.name not in _DATA_KEYS)


def replay_restrictions(connection: Connection, source: Source, chosen: Kept) -> int:
    """Restrict again whoever was restricted since ``chosen``; return how many (PIPL 47 ¶2)."""
    if chosen == source.newest:
        return 0
    again = int(connection.execute(text("SELECT restrict_again()")).scalar_one())
    connection.execute(text("SELECT set_config('safehands.controller', '', true)"))
    return again


def _check_complete(chosen: Kept, newest: Kept, declared: list[Table]) -> None:
    """Every table of the database is in its generation, and the other way round."""
    for kept in (chosen, newest):
        for name in {t.name for t in declared} ^ set(kept.manifest.tables):
            raise BackupBroken("backup.manifest", file=kept.name, what=f"tables {name}")


def _load_table(
    loader: Loader,
    replay: Replay,
    expected: Expected,
    source: Source,
    origin: Kept,
    table: Table,
) -> None:
    named = [part.part for part in origin.manifest.parts if part.table == table.name]
    for month in months_of(table, named):
        loader.month(month)
    for part, found in source.parts(origin, table.name):
        rows = replay.apply(table, found, origin)
        loader.copy(table, rows)
        expected.parts[table.name][part.part] = (rows.num_rows, source.digest(rows))


def _check_ledger(connection: Connection, source: Source, newest: Kept) -> int:
    """The ledger is the newest generation's, and every earlier one's is a prefix of it."""
    if (journal.latest(connection) or "") != newest.manifest.checkpoint:
        raise LedgerBroken("restore.ledger_head", file=newest.name)
    earlier = [
        kept.manifest.checkpoint
        for kept in source.generations
        if kept.manifest.checkpoint and kept.manifest.number <= newest.manifest.number
    ]
    signed = journal.check(connection, source.verifier, earlier)
    return signed[-1].size if signed else 0


def _check_tombstones(connection: Connection, source: Source) -> int:
    """The tombstones in the database are those of the newest key segment, no fewer and no more."""
    segment = source.segment(source.newest)
    promised = {
        (row["controller_id"], row["token"])
        for row in segment.select(["kind", "controller_id", "token"]).to_pylist()
        if row["kind"] == "tombstone"
    }
    query = text("SELECT controller_id, uuid_send(token) FROM tombstone")
    found = {(int(row[0]), bytes(row[1])) for row in connection.execute(query)}
    if found != promised:
        raise BackupBroken("restore.tombstones", rows=len(found), wanted=len(promised))
    return len(found)
