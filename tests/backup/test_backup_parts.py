from __future__ import annotations  # noqa: I001

import re

import pytest
from backup_home import Home
from psycopg import sql
from sqlalchemy import text

from safehands.backup import parts
from safehands.backup.parts import count, slices
from safehands.backup.reading import read_rows
from safehands.backup.tables import DECLARED, LEFT_OUT, tables
from safehands.errors import BackupBroken
from safehands.store import driver


def cut(home: Home, name: str) -> dict[str, int]:
    """The parts of a table and their rows."""
    with home.store.begin("safehands_backup") as connection:
        (table,) = (t for t in tables(connection) if t.name == name)
        raw = driver(connection)
        found = {s.part: read_rows(raw, table, s.where) for s in slices(raw, table)}
        assert sum(rows.num_rows for rows in found.values()) == count(raw, table)
    return {part: rows.num_rows for part, rows in found.items() if rows.num_rows}


def test_parcels_are_cut_by_owner_and_month_of_arrival_in_shanghai(home: Home) -> None:
    home.admin(
        "DELETE FROM parcel",
        "INSERT INTO parcel SELECT 1, 1, md5(i::text)::uuid, NULL, at, NULL, 0, 1, 0, 0, 0, 0"
        " FROM (VALUES (1, timestamptz '2026-10-31 15:59:59.999999+00'),"
        " (2, '2026-10-31 16:00+00'), (3, '2026-11-01 00:00+00')) v (i, at)",
    )
    assert cut(home, "parcel") == {"parcel/1/202610/0of1": 1, "parcel/1/202611/0of1": 2}


def test_people_are_cut_into_sixteen(home: Home) -> None:
    found = cut(home, "subject")
    assert all(re.fullmatch(r"subject/[12]/\d+of16", part) for part in found)
    assert sum(found.values()) == 12


def test_a_december_is_followed_by_a_january(home: Home) -> None:
    home.admin(
        "SELECT add_month(date '2026-12-01')",
        "INSERT INTO parcel VALUES (1, 1, md5('d')::uuid, NULL, '2026-12-31 15:59+00', NULL,"
        " 0, 1, 0, 0, 0, 0)",
    )
    assert cut(home, "parcel")["parcel/1/202612/0of1"] == 1


@pytest.mark.parametrize("name", ["parcel", "subject"])
def test_large_parts_are_cut_further(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 4)
    whole = {re.sub(r"\d+of", "of", part) for part in cut(home, name)}
    assert (
        whole >= {"parcel/1/202611/of4"}
        if name == "parcel"
        else whole
        == {
            "subject/1/of16",
            "subject/2/of16",
        }
    )


@pytest.mark.parametrize(
    ("rows", "pieces"), [(1, 1), (262_144, 1), (262_145, 2), (524_288, 2), (524_289, 4)]
)
def test_a_part_holds_a_quarter_of_a_million_rows_at_most(rows: int, pieces: int) -> None:
    whole = parts.Slice("t", sql.SQL("true"))
    assert len(parts._ranges(whole, DECLARED["parcel"], rows)) == pieces


def test_tables_with_ids_are_cut_by_blocks_of_ids(home: Home) -> None:
    home.admin(
        "INSERT INTO ledger_entry (id, body) OVERRIDING SYSTEM VALUE"
        " VALUES (1, 'x'), (262143, 'x'), (262144, 'x')"
    )
    assert cut(home, "ledger_entry") == {"ledger_entry/000000": 2, "ledger_entry/000001": 1}


def test_every_table_of_the_schema_is_declared_or_left_out(home: Home) -> None:
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    assert {row[0] for row in home.ask(query)} == DECLARED.keys() | LEFT_OUT.keys()
    assert not DECLARED.keys() & LEFT_OUT.keys()


def test_every_column_but_the_keys_is_read(home: Home) -> None:
    with home.store.begin("safehands_backup") as connection:
        found = {t.name: [c.name for c in t.columns] for t in tables(connection)}
        query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :t")
        for name, columns in found.items():
            assert set(columns) == set(connection.execute(query, {"t": name}).scalars())


REFUSALS = {
    "CREATE TABLE surprise (id int PRIMARY KEY)": "backup.undeclared_table",
    "ALTER TABLE station ADD where_it_is point": "backup.unknown_type",
    "DROP POLICY whole ON parcel": "backup.blind",
    "REVOKE SELECT ON station FROM safehands_backup": "backup.blind",
    "CREATE POLICY less ON subject AS RESTRICTIVE USING (false)": "backup.blind",
    "ALTER POLICY whole ON custody USING (controller_id = 1)": "backup.blind",
}


@pytest.mark.parametrize("statement", REFUSALS)
def test_what_would_be_forgotten_stops_the_backup(home: Home, statement: str) -> None:
    home.admin(statement)
    with pytest.raises(BackupBroken) as caught:
        home.backup()
    assert caught.value.key == REFUSALS[statement]
    assert not list(home.folder.glob("*/*"))
