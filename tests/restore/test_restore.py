"""A generation back into an empty database: whole, compared, and nobody resurrected."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from backup_home import NOW, Home
from safehands import journal
from safehands.backup import Repository, verify_repository
from safehands.backup.manifest import open_manifest, seal_manifest
from safehands.backup.repository import MANIFESTS, manifest_name
from safehands.backup.tables import DECLARED, Split
from safehands.errors import BackupBroken, KeyProblem, LedgerBroken
from safehands.keys import FileProvider, age
from safehands.restore import Restored, restore
from safehands.restore.load import Loader
from safehands.store import Store, prepare_store, setup

Fresh = Callable[[], Store]


def new_epoch(home: Home) -> None:
    """What an erasure does to everybody who stays."""
    home.provider.create("epoch/A/2")
    home.admin(*NEW_EPOCH)


NEW_EPOCH = (
    "INSERT INTO epoch (controller_id, number, opened) VALUES (1, 2, '2026-11-24')",
    "UPDATE subject SET epoch = 2, lookup = md5(lookup::text)::uuid,"
    " wrapped_salt = sha256('again'::bytea) WHERE controller_id = 1",
)
GONE = "md5('s2')::uuid"
ERASED = (
    f"DELETE FROM parcel WHERE subject_id = {GONE}",
    f"DELETE FROM preference WHERE subject_id = {GONE}",
    f"DELETE FROM subject WHERE subject_id = {GONE}",
    "INSERT INTO tombstone (controller_id, token, erased_at, reason)"
    " VALUES (1, md5('grave')::uuid, '2026-11-24', 'request')",
)


def do(home: Home, target: Store, **options: Any) -> Restored:
    return restore(Repository(home.folder), target, home.verifier, NOW, **options)


def rows(store: Store, table: str) -> list[str]:
    with store.admin().connect() as connection:
        found = connection.execute(text(f"SELECT t::text FROM {table} t ORDER BY 1"))
        return [str(row[0]) for row in found]


def ask(store: Store, query: str) -> Any:
    with store.admin().connect() as connection:
        return connection.execute(text(query)).scalar()


def is_empty(store: Store) -> bool:
    """Nothing but the mark of the root key is in the database, if there is a database at all."""
    if setup.schema_revision(store) is None:
        return True
    return not any(rows(store, t) for t in DECLARED if t not in ("installation", "root_key"))


def test_every_table_comes_back_row_for_row(home: Home, fresh: Fresh) -> None:
    home.backup()
    home.backup(1)
    outcome = home.backup(2)
    before = {table: rows(home.store, table) for table in DECLARED}
    target = fresh()
    done = do(home, target)
    assert done.generation == outcome.details["manifest"]
    assert done.generation_digest == outcome.details["manifest_digest"]
    own = {"ledger_entry", "ledger_checkpoint", "effect", "step_result"}
    for table in DECLARED.keys() - own:
        assert rows(target, table) == before[table], table
    assert done.tables.keys() == DECLARED.keys()
    assert (done.tables["parcel"], done.tables["subject"]) == (45, 12)
    assert done.left_out == done.cut == {}
    assert done.ledger_size == 2


def test_row_security_is_forced_again_and_numbers_go_on(home: Home, fresh: Fresh) -> None:
    home.backup()
    target = fresh()
    do(home, target)
    forced = (
        "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class"
        " WHERE relforcerowsecurity AND relnamespace = 'public'::regnamespace"
    )
    assert ask(target, forced) == ask(home.store, forced)
    switches = (
        "SELECT string_agg(tgrelid::regclass || tgname || tgenabled::text, ',' ORDER BY"
        " tgrelid::regclass::text, tgname) FROM pg_trigger WHERE NOT tgisinternal"
    )
    assert ask(target, switches) == ask(home.store, switches)
    assert ask(target, "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'") == 0
    assert ask(target, "SELECT count(*) FROM change_note WHERE place = ''") > 0
    insert = (
        "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
        " business_date, state, facts) VALUES (1, 1, 'e', 'p', 'x', 'r', '2026-11-23', 'loaded',"
        " '{}') RETURNING id"
    )
    assert ask(target, insert) == 2


def test_the_ledger_goes_on_with_the_restore(home: Home, fresh: Fresh) -> None:
    home.backup()
    home.backup(1)
    target = fresh()
    done = do(home, target)
    checkpoint = journal.verify(target, home.verifier)
    assert checkpoint.size == done.ledger_size + 1
    body = ask(target, "SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 1")
    assert done.generation_digest in body


def test_a_second_call_finds_it_done(home: Home, fresh: Fresh) -> None:
    home.backup()
    target = fresh()
    first = do(home, target)
    before = {table: rows(target, table) for table in DECLARED}
    again = do(home, target)
    assert again == replace(first, already=True)
    assert {table: rows(target, table) for table in DECLARED} == before


def test_a_store_that_went_on_is_not_empty(home: Home, fresh: Fresh) -> None:
    home.backup()
    target = fresh()
    do(home, target)
    with target.begin() as connection:
        journal.append(connection, "purge", "later", NOW, {})
    with pytest.raises(BackupBroken) as caught:
        do(home, target)
    assert caught.value.key == "restore.not_empty"


@pytest.mark.parametrize("table", ["effect", "batch", "tombstone", "outbox", "backup_object"])
def test_a_target_that_holds_a_row_is_refused_and_left_alone(
    home: Home, fresh: Fresh, table: str
) -> None:
    insert = {
        "effect": "INSERT INTO effect VALUES ('s', 's', 'd', 'p', '{}')",
        "batch": "INSERT INTO controller (code, name, kind) VALUES ('Z', 'Z', 'x')",
        "tombstone": "INSERT INTO controller (code, name, kind) VALUES ('Z', 'Z', 'x')",
        "outbox": "INSERT INTO outbox (kind, payload) VALUES ('k', '{}')",
        "backup_object": "INSERT INTO backup_object VALUES ('p', 'c', 'o', 1, 1)",
    }
    home.backup()
    target = fresh()
    prepare_store(target)
    with target.admin().begin() as connection:
        connection.exec_driver_sql(insert[table])
    before = {name: rows(target, name) for name in DECLARED}
    with pytest.raises(BackupBroken) as caught:
        do(home, target)
    assert caught.value.key == "restore.not_empty"
    assert {name: rows(target, name) for name in DECLARED} == before


def test_a_prepared_empty_database_is_taken(home: Home, fresh: Fresh) -> None:
    home.backup()
    target = fresh()
    prepare_store(target)
    assert do(home, target).tables["parcel"] == 45


def test_the_next_night_goes_on_where_the_repository_is(home: Home, fresh: Fresh) -> None:
    home.backup()
    home.backup(1)
    target = fresh()
    do(home, target)
    went_on = replace(home, store=target)
    outcome = went_on.backup(2)
    evidence = {name for name, split in DECLARED.items() if split.evidence}
    assert outcome.counts["lost"] == 0
    assert 0 < outcome.counts["written"] <= len(evidence)
    report = verify_repository(
        home.folder, home.provider, home.verifier, outcome.details["manifest_digest"]
    )
    assert (report.generations, report.leftovers) == (3, 0)


# An older generation


def test_an_older_generation_comes_back_as_it_was(home: Home, fresh: Fresh) -> None:
    older = home.backup()
    kept = {table: rows(home.store, table) for table in ("parcel", "preference", "custody")}
    home.admin(
        "DELETE FROM parcel WHERE controller_id = 1",
        "UPDATE preference SET notify_channel = 2",
    )
    new_epoch(home)
    home.backup(1)
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    assert {table: rows(target, table) for table in kept} == kept
    assert done.generation == older.details["manifest"]
    assert done.left_out == {}
    keys = "SELECT count(*) FROM subject WHERE controller_id = 1 AND epoch = 2"
    assert ask(target, keys) == 6
    assert ask(target, "SELECT max(number) FROM epoch") == 2


def test_nobody_who_was_erased_comes_back(home: Home, fresh: Fresh) -> None:
    older = home.backup()
    theirs = ask(home.store, f"SELECT count(*) FROM parcel WHERE subject_id = {GONE}")
    home.admin(*ERASED)
    new_epoch(home)
    home.backup(1)
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    assert done.left_out == {"subject": 1, "parcel": theirs, "preference": 1}
    for table in ("subject", "parcel", "preference", "custody"):
        assert ask(target, f"SELECT count(*) FROM {table} WHERE subject_id = {GONE}") == 0
    assert ask(target, "SELECT count(*) FROM subject") == 11
    assert ask(target, "SELECT count(*) FROM parcel") == 45 - theirs
    assert rows(target, "tombstone") == rows(home.store, "tombstone")
    assert done.tombstones == 2


def test_no_list_names_the_erased_or_their_parcels(home: Home, fresh: Fresh) -> None:
    home.admin(
        "INSERT INTO listing SELECT controller_id, controller_id, 'customers', subject_id,"
        " '2026-11-23' FROM subject",
        "INSERT INTO listing SELECT controller_id, station_id, 'parcels', waybill, '2026-11-23'"
        " FROM parcel",
    )
    older = home.backup()
    before = ask(home.store, "SELECT count(*) FROM listing")
    home.admin(*ERASED)
    left = rows(home.store, "listing")
    home.backup(1)
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    assert rows(target, "listing") == left
    assert done.left_out["listing"] == before - len(left) > 1


def test_nothing_of_the_erased_is_written_to_the_target(
    home: Home, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a moment: dead rows and the log would keep it."""
    older = home.backup()
    home.admin(*ERASED)
    home.backup(1)
    sent: list[Any] = []
    real = Loader.copy

    def copy(self: Loader, table: Any, found: pa.Table) -> None:
        if "subject_id" in found.column_names:
            sent.extend(found["subject_id"].to_pylist())
        real(self, table, found)

    monkeypatch.setattr(Loader, "copy", copy)
    do(home, fresh(), generation=older.details["manifest"])
    gone = bytes.fromhex(ask(home.store, "SELECT md5('s2')"))
    assert len(sent) > 40
    assert gone not in sent


def test_what_the_law_keeps_of_the_erased_stays_without_them(home: Home, fresh: Fresh) -> None:
    older = home.backup()
    one = f"(SELECT min(waybill::text)::uuid FROM parcel WHERE subject_id = {GONE})"
    columns = (
        "controller_id, station_id, waybill, subject_id, arrived_at, collected_at, district,"
        " batch_id, carrier, status, weight_band, tags"
    )
    home.admin(
        f"INSERT INTO parcel_held ({columns}, why, held_at, until) SELECT {columns}, 'limitation',"
        f" '2026-11-24', '2029-11-24' FROM parcel WHERE waybill = {one}",
        f"UPDATE parcel_held SET subject_id = NULL WHERE waybill = {one}",
        *ERASED,
    )
    home.backup(1)
    theirs = ask(home.store, "SELECT count(*) FROM parcel")
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    assert done.cut == {"parcel": 1}
    assert ask(target, "SELECT count(*) FROM parcel") == theirs + 1
    kept = ask(home.store, "SELECT waybill FROM parcel_held")
    found = f"SELECT subject_id IS NULL FROM parcel WHERE waybill = '{kept}'"
    assert ask(target, found) is True


def test_whoever_was_restricted_since_is_restricted_again(home: Home, fresh: Fresh) -> None:
    older = home.backup()
    home.admin(
        "SELECT set_config('safehands.controller', '1', true)",
        f"SELECT restrict_subject({GONE}, 'asked', '2026-11-24', NULL, 'officer')",
    )
    assert ask(home.store, "SELECT count(*) FROM restriction") == 1
    home.backup(1)
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    assert done.restricted == 1
    assert ask(target, f"SELECT restricted FROM subject WHERE subject_id = {GONE}") is True
    assert ask(target, f"SELECT count(*) FROM parcel WHERE subject_id = {GONE}") == 0
    assert rows(target, "restriction") == rows(home.store, "restriction")
    assert rows(target, "parcel_held") == rows(home.store, "parcel_held")


def test_the_ledger_is_never_rolled_back(home: Home, fresh: Fresh) -> None:
    older = home.backup()
    home.backup(1)
    newest = home.backup(2)
    target = fresh()
    done = do(home, target, generation=older.details["manifest"])
    size = int(newest.details["checkpoint"].splitlines()[1])
    assert done.ledger_size == size
    note = ask(target, f"SELECT note FROM ledger_checkpoint WHERE size = {size}")
    assert note == newest.details["checkpoint"]


FUTURE = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None

def upgrade():
    op.execute("ALTER TABLE station ADD COLUMN future text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE preference ADD COLUMN future smallint NOT NULL DEFAULT 7")
    op.execute("CREATE TABLE future (id int PRIMARY KEY, note text NOT NULL)")
    op.execute("GRANT SELECT ON future TO safehands_backup")
"""


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Home], None]:
    """A function that brings a store to a schema of the future, as a new release would."""

    def to_the_future(home: Home) -> None:
        head = setup.schema_revision(home.store)
        folder = tmp_path / "release" / "migrations"
        shutil.copytree(Path(setup.__file__).parent / "migrations", folder)
        (folder / "versions" / "9999_future.py").write_text(FUTURE.format(head=head))
        monkeypatch.setattr(setup, "__file__", str(folder.parent / "setup.py"))
        monkeypatch.setitem(DECLARED, "future", Split(forward=True))
        prepare_store(home.store)

    return to_the_future


@pytest.mark.parametrize("killed", [False, True])
def test_a_generation_of_an_older_schema_comes_back_into_the_present_one(
    home: Home,
    fresh: Fresh,
    upgrade: Callable[[Home], None],
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    older = home.backup().details["manifest"]
    upgrade(home)
    home.admin(
        *ERASED,
        "UPDATE station SET future = code",
        "INSERT INTO future VALUES (1, 'kept')",
        "DELETE FROM preference",
    )
    home.backup(1)
    target = fresh()
    if killed:
        with monkeypatch.context() as patched:
            patched.setattr("safehands.restore.restoring._advance", None)
            with pytest.raises(TypeError):
                do(home, target, generation=older)
    done = do(home, target, generation=older)
    assert done.revision != "9999"
    assert setup.schema_revision(target) == "9999"
    assert done.left_out["subject"] == 1
    assert ask(target, "SELECT count(*) FROM preference") == 0
    for forward in ("tombstone", "station", "future", "controller_key", "epoch"):
        assert rows(target, forward) == rows(home.store, forward), forward
    journal.verify(target, home.verifier)
    assert do(home, target, generation=older).already


def test_a_database_of_another_schema_is_not_taken(
    home: Home, fresh: Fresh, upgrade: Callable[[Home], None]
) -> None:
    older = home.backup().details["manifest"]
    upgrade(home)
    home.backup(1)
    target = fresh()
    prepare_store(target)
    with pytest.raises(BackupBroken) as caught:
        do(home, target, generation=older)
    assert caught.value.key == "restore.other_schema"


# What is refused


def test_an_unknown_generation_is_said(home: Home, fresh: Fresh) -> None:
    home.backup()
    with pytest.raises(BackupBroken) as caught:
        do(home, fresh(), generation="2026-01-01-00000000")
    assert caught.value.key == "backup.no_generation"


def test_a_generation_may_be_named_shortly(home: Home, fresh: Fresh) -> None:
    name = home.backup().details["manifest"]
    short = name.removeprefix("manifests/").removesuffix(".age")
    assert do(home, fresh(), generation=short).generation == name


def test_any_damaged_file_that_is_needed_is_refused_before_anything_stays(
    home: Home, fresh: Fresh
) -> None:
    home.backup()
    target = fresh()
    for name, data in home.files().items():
        path = home.folder / name
        for bad in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], b"", None):
            if bad is None:
                path.unlink()
            else:
                path.write_bytes(bad)
            with pytest.raises(BackupBroken) as caught:
                do(home, target)
            assert caught.value.key in {"backup.differs", "backup.missing", "backup.empty"}
            assert is_empty(target)
        path.write_bytes(data)
    assert do(home, target).tables["parcel"] == 45


def test_a_rolled_back_repository_is_seen_by_who_knows_the_newest(home: Home, fresh: Fresh) -> None:
    home.backup()
    newest = home.backup(1)
    Repository(home.folder).remove(newest.details["manifest"])
    with pytest.raises(BackupBroken) as caught:
        do(home, fresh(), newest=newest.details["manifest_digest"])
    assert caught.value.key == "backup.rolled_back"


@pytest.mark.parametrize("fault", ["lost", "changed", "added"])
def test_what_reads_back_differently_is_undone(
    home: Home, fresh: Fresh, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    home.backup()
    target, real = fresh(), Loader.copy

    def copy(self: Loader, table: Any, found: pa.Table) -> None:
        real(self, table, found.slice(1) if table.name == "custody" and fault == "lost" else found)
        if table.name == "custody" and fault == "changed":
            self._connection.execute(text("UPDATE custody SET sealed = '\\x0103'"))
        if table.name == "preference" and fault == "added":
            # Outside of every part that the generation has.
            columns = "subject_id, notify_channel, delivery_choice, time_window, marketing"
            more = "updated_at, batch_id"
            self._connection.execute(
                text(
                    f"INSERT INTO preference (controller_id, {columns}, {more})"
                    f" SELECT 2, {columns}, {more} FROM preference"
                )
            )

    with monkeypatch.context() as patched:
        patched.setattr(Loader, "copy", copy)
        with pytest.raises(BackupBroken) as caught:
            do(home, target)
    assert caught.value.key in {"restore.differs", "restore.counts"}
    assert is_empty(target)
    assert do(home, target).tables["custody"] == 1


def test_another_root_key_is_refused(home: Home, cluster: Any, tmp_path: Path) -> None:
    home.backup()
    other = FileProvider(tmp_path / "k1", tmp_path / "k2")
    other.create("root")
    other.create("backup-identity", age.identity(home.provider).encode())
    cluster.made += 1
    target = Store(cluster.server.url(f"sh_test_{cluster.made}"), other)
    with pytest.raises((KeyProblem, BackupBroken)):
        do(home, target)
    assert setup.schema_revision(target) is None


def test_a_missing_identity_is_said(home: Home, fresh: Fresh) -> None:
    home.backup()
    secret = age.identity(home.provider)
    home.provider.destroy("backup-identity")
    with pytest.raises(KeyProblem):
        do(home, fresh())
    home.provider.create("backup-identity", secret.encode())


def test_another_ledger_head_is_refused(home: Home, fresh: Fresh) -> None:
    """A manifest that is rightly signed and names an earlier head: what a defect would write."""
    home.backup()
    first = home.backup(1).details["checkpoint"]
    home.backup(2)
    folder, identity = home.folder, age.identity(home.provider)
    names = Repository(folder).list(MANIFESTS)
    found = [
        (n, open_manifest(n, (folder / n).read_bytes(), identity, home.verifier)) for n in names
    ]
    name, newest = max(found, key=lambda pair: pair[1].number)
    signer = journal.signing_key(home.provider)
    recipients = [age.recipient(home.provider)]
    data = seal_manifest(replace(newest, checkpoint=first), signer, recipients)
    (folder / name).unlink()
    (folder / manifest_name(newest.business_date, data)).write_bytes(data)
    target = fresh()
    with pytest.raises(LedgerBroken) as caught:
        do(home, target)
    assert caught.value.key == "restore.ledger_head"
    assert is_empty(target)
