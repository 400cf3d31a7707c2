"""What did not change is not read, and what changed is: proved against full readings.

Every backup is compared with one that is made of the same store at the same moment and reads all
of it: the same parts with the same contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_backup_step import Killed, check, killed_at

from backup_home import Home, make_home
from safehands.backup import Repository, step
from safehands.backup.content import content_digest
from safehands.backup.keysegment import without_keys
from safehands.backup.parts import slices
from safehands.backup.reading import read_rows
from safehands.backup.tables import DECLARED, tables
from safehands.datasets import Outcome
from safehands.errors import BackupBroken
from safehands.keys.provider import digest_key
from safehands.policy import Policy
from safehands.store import driver
from safehands.store.changes import watched

PEOPLE = [name for name, split in DECLARED.items() if not split.evidence]
SUBJECT_1 = "subject_id = md5('s1')::uuid"


def recorded(home: Home) -> dict[str, str]:
    """Contents by part of the newest generation, without what the night says of itself."""
    query = (
        "SELECT o.part, o.content FROM backup_reference r JOIN backup_object o USING (object)"
        " WHERE r.manifest = (SELECT manifest FROM backup ORDER BY id DESC LIMIT 1)"
    )
    return {part: content for part, content in home.ask(query) if part.split("/")[0] in PEOPLE}


def as_read(home: Home) -> dict[str, str]:
    """Contents by part as a full reading of the store gives them now."""
    key, found = digest_key(home.provider, step.DIGEST_PURPOSE), {}
    with home.store.begin("safehands_backup") as connection:
        raw = driver(connection)
        for table in tables(connection):
            for one in slices(raw, table) if table.name in PEOPLE else ():
                rows = read_rows(raw, table, one.where)
                if rows.num_rows:
                    shown = without_keys(rows) if table.name == "subject" else rows
                    found[one.part] = content_digest(shown, key)
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that the backup reads rows of, one entry a reading."""
    seen: list[str] = []

    def read(connection: Any, table: Any, where: Any) -> Any:
        seen.append(table.name)
        return read_rows(connection, table, where)

    monkeypatch.setattr(step, "read_rows", read)
    return seen


def test_a_night_without_changes_reads_nothing_of_people(home: Home, reads: list[str]) -> None:
    home.backup()
    assert {"subject", "parcel", "tombstone"} <= set(reads)
    reads.clear()
    outcome = home.backup(1)
    with home.store.begin("safehands_backup") as connection:
        assert not set(reads) & watched(connection)
    assert outcome.counts["unread"] >= 15
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_only_the_month_that_changed_is_read(home: Home, reads: list[str]) -> None:
    home.backup()
    reads.clear()
    home.admin("UPDATE parcel SET status = 3 WHERE controller_id = 1 AND arrived_at < '2026-10-20'")
    outcome = home.backup(1)
    assert reads.count("parcel") == 1
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_a_corrected_person_costs_a_sixteenth_and_the_keys(home: Home, reads: list[str]) -> None:
    home.backup()
    home.admin(f"UPDATE subject SET sealed = 'z', wrapped_salt = 'y' WHERE {SUBJECT_1}")
    outcome = home.backup(1)
    assert len(Repository(home.folder).list("keys")) == 2
    assert outcome.counts["unchanged"] - outcome.counts["unread"] < outcome.counts["parts"] / 2
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_somebody_new_in_a_range_that_was_empty_is_read(home: Home) -> None:
    home.backup()
    home.admin(
        "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
        " key_version, sealed, detail, first_seen, last_seen) SELECT 1, id, id, 0, 1, 'w', 1, 's',"
        " 0, '2026-11-02', '2026-11-03' FROM (SELECT (to_hex(g)"
        " || substr(md5('new'), 2))::uuid AS id FROM generate_series(0, 15) g"
        " WHERE to_hex(g) NOT IN (SELECT left(subject_id::text, 1) FROM subject"
        " WHERE controller_id = 1) LIMIT 1) one"
    )
    outcome = home.backup(1)
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_a_killed_backup_leaves_its_notes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.backup()
    home.admin("UPDATE parcel SET status = 3 WHERE controller_id = 1 AND arrived_at < '2026-10-20'")
    for owner, name in ((step, "_record"), (step, "_record_generation")):
        with monkeypatch.context() as patched:
            killed_at(patched, owner, name, 1)
            with pytest.raises(Killed):
                home.backup(1)
    outcome = home.backup(1)
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_what_changes_during_a_backup_is_read_by_the_next(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.backup()
    real = step.seal_manifest

    def meanwhile(*args: Any) -> bytes:
        home.admin("DELETE FROM parcel WHERE arrived_at < '2026-10-20'")
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(step, "seal_manifest", meanwhile)
        home.backup(1)
    assert recorded(home) != as_read(home)
    home.backup(2)
    assert recorded(home) == as_read(home)


BEHIND = {
    "changed": "UPDATE parcel SET status = 3 WHERE arrived_at < '2026-10-20'",
    "gone": "DELETE FROM parcel WHERE arrived_at < '2026-11-01'",
    "come": "INSERT INTO tombstone VALUES (1, md5('new')::uuid, now(), 'request')",
    "a person": f"UPDATE subject SET sealed = 'z' WHERE {SUBJECT_1}",
}


def behind(home: Home, statement: str) -> None:
    """Change rows while the triggers stand still."""
    place = next(name for name in ("parcel", "tombstone", "subject") if name in statement)
    home.admin(
        f"ALTER TABLE {place} DISABLE TRIGGER USER",
        statement,
        f"ALTER TABLE {place} ENABLE TRIGGER USER",
        *(
            f"ALTER TABLE {place} ENABLE ALWAYS TRIGGER note_{event}"
            for event in ("insert", "update", "delete", "truncate")
        ),
    )


@pytest.mark.parametrize("way", BEHIND)
def test_after_seven_days_everything_is_read_and_a_change_without_a_note_fails(
    home: Home, way: str
) -> None:
    home.backup()
    behind(home, BEHIND[way])
    home.backup(6)
    assert recorded(home) != as_read(home)
    with pytest.raises(BackupBroken) as caught:
        home.backup(7)
    assert caught.value.key == "backup.unnoticed"
    assert home.ask("SELECT count(*) FROM backup") == [(2,)]
    noted = "SELECT count(*) FROM ledger_entry WHERE body LIKE '%backup_unnoticed%'"
    assert home.ask(noted) == [(1,)]
    outcome = home.backup(7)
    assert recorded(home) == as_read(home)
    check(home, outcome)


def test_rows_that_do_not_add_up_near_a_change_fail_at_once(home: Home) -> None:
    home.backup()
    behind(home, "DELETE FROM parcel WHERE controller_id = 2 AND arrived_at < '2026-10-20'")
    home.admin("UPDATE parcel SET status = 3 WHERE controller_id = 1 AND arrived_at < '2026-10-20'")
    with pytest.raises(BackupBroken) as caught:
        home.backup(1)
    assert caught.value.key == "backup.unnoticed"
    home.backup(1)
    assert recorded(home) == as_read(home)


def test_a_week_later_nothing_but_reading_happens_where_all_was_noted(home: Home) -> None:
    home.backup()
    home.admin("DELETE FROM parcel WHERE arrived_at < '2026-10-20'")
    outcome = home.backup(7)
    assert outcome.counts["unread"] == 0
    assert home.backup(8).counts["unread"] >= 15
    assert recorded(home) == as_read(home)


def test_whoever_asks_for_it_reads_everything_every_night(home: Home) -> None:
    home.settings = replace(home.settings, backup_whole_days=1)
    home.backup()
    assert home.backup(1).counts["unread"] == 0


def test_with_a_trigger_switched_off_the_table_is_read(home: Home) -> None:
    home.backup()
    home.admin(
        "ALTER TABLE parcel DISABLE TRIGGER note_delete",
        "DELETE FROM parcel WHERE arrived_at < '2026-10-20'",
    )
    home.backup(1)
    assert recorded(home) == as_read(home)


def test_a_month_dropped_by_hand_is_missed(home: Home) -> None:
    home.backup()
    home.admin("DROP TABLE parcel_202610")
    outcome = home.backup(1)
    assert recorded(home) == as_read(home)
    check(home, outcome)


READ_AGAIN = {
    "another schema": ("ALTER TABLE parcel ADD colour int",),
    "another lineage": ("INSERT INTO backup_lineage VALUES (7, now(), 'data_key', 1)",),
    "another migration": ("UPDATE alembic_version SET version_num = '9999'",),
    "an older record": ("UPDATE backup SET facts = facts - 'reading'",),
}


@pytest.mark.parametrize("why", READ_AGAIN)
def test_whatever_changes_the_meaning_of_rows_makes_everything_read(home: Home, why: str) -> None:
    home.backup()
    home.admin(*READ_AGAIN[why])
    assert home.backup(1).counts["unread"] == 0
    assert recorded(home) == as_read(home)


def test_an_object_that_is_gone_is_read_and_written_again(home: Home) -> None:
    home.backup()
    name = home.ask("SELECT object FROM backup_object WHERE part LIKE 'parcel/1/202610/%'")[0][0]
    Repository(home.folder).remove(name)
    outcome = home.backup(1)
    assert outcome.counts["lost"] == 1
    assert recorded(home) == as_read(home)


def test_a_key_segment_that_is_gone_is_written_again(home: Home) -> None:
    home.backup()
    Repository(home.folder).remove(Repository(home.folder).list("keys")[0])
    check(home, home.backup(1))


def test_a_new_folder_gets_everything_although_nothing_changed(home: Home, tmp_path: Path) -> None:
    home.backup()
    home.folder.rename(tmp_path / "elsewhere")
    outcome = home.backup(1)
    assert outcome.counts["unread"] == 0
    check(home, outcome)


OPERATIONS = st.sampled_from(
    [
        "UPDATE parcel SET status = 1 + status % 4 WHERE carrier = {n} % 7",
        "UPDATE parcel SET arrived_at = arrived_at - interval '20 days' WHERE carrier = {n} % 7"
        " AND arrived_at > '2026-11-01'",
        "DELETE FROM parcel WHERE carrier = {n} % 7",
        "INSERT INTO parcel SELECT 1 + g % 2, 1, gen_random_uuid(), NULL,"
        " '2026-10-05'::timestamptz + g * interval '5 days', NULL, 1, 1, 1, 1, 1, 0"
        " FROM generate_series(1, {n}) g",
        "UPDATE subject SET last_seen = last_seen + interval '1 day' WHERE"
        " get_byte(uuid_send(subject_id), 0) % 12 = {n}",
        "UPDATE subject SET wrapped_salt = 'x{n}' WHERE"
        " get_byte(uuid_send(subject_id), 0) % 12 = {n}",
        "DELETE FROM subject WHERE get_byte(uuid_send(subject_id), 0) % 12 = {n}",
        "INSERT INTO tombstone VALUES (1 + {n} % 2, gen_random_uuid(), now(), 'request')",
        "INSERT INTO preference VALUES (1, gen_random_uuid(), 1, 2, 3, -1, '2026-11-03', 1)",
        "TRUNCATE custody",
        "SELECT drop_old_month('2026-10-01', timestamptz '2026-12-01 00:00+08')",
        "SELECT add_month('2026-10-01')",
        "DELETE FROM parcel_202611 WHERE carrier = {n} % 7",
        "SELECT set_config('safehands.controller', '1', true),"
        " restrict_subjects((SELECT array_agg(subject_id) FROM (SELECT subject_id FROM subject"
        " WHERE controller_id = 1 ORDER BY 1 LIMIT {n}) s), 'r', now(), NULL, 'officer')",
        "SELECT set_config('safehands.controller', '1', true), release_subjects("
        "(SELECT coalesce(array_agg(subject_id), '{{}}') FROM restriction))",
        "SELECT set_config('safehands.controller', '2', true), erase_subjects((SELECT array_agg("
        "subject_id) FROM (SELECT subject_id FROM subject WHERE controller_id = 2 ORDER BY 1"
        " LIMIT 1) s), '2026-11-23', now(), '2029-11-23')",
    ]
)
NIGHTS = st.lists(st.lists(st.tuples(OPERATIONS, st.integers(1, 11)), max_size=3), max_size=4)


class _Quiet(list[Home]):
    """Shown in a line when an example fails."""

    def __repr__(self) -> str:
        return "<home>"


@pytest.fixture(scope="module")
def lasting(cluster: Any, policy: Policy, tmp_path_factory: Any) -> Iterator[list[Home]]:
    folder = tmp_path_factory.mktemp("lasting") / "home"
    made = make_home(cluster.clone(), cluster.keys / "root.key", policy, folder)
    # An operation may empty October; the next one may fill it again.
    made.backup()
    yield _Quiet([made])
    made.store.close()


@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(nights=NIGHTS)
def test_whatever_is_done_each_part_is_as_a_full_reading_gives_it(
    lasting: list[Home], nights: list[list[tuple[str, int]]]
) -> None:
    """One store and one repository through all examples: its history only grows longer."""
    (home,) = lasting
    for operations in nights:
        for operation, number in operations:
            statement = operation.format(n=number).replace("%", "%%")
            home.admin("SELECT add_month('2026-10-01')", statement)
        day = home.ask("SELECT max(business_date) - date '2026-11-23' FROM backup")[0][0]
        # Never the seventh day: it would read everything and prove nothing.
        home.admin(
            "UPDATE backup SET facts = facts || jsonb_build_object('read_whole_on',"
            " business_date::text)"
        )
        outcome: Outcome = home.backup(day + 1)
        assert not outcome.already
        assert recorded(home) == as_read(home)
    if nights:
        check(home, outcome)
