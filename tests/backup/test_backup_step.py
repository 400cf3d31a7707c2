from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from backup_home import Home
from safehands import journal
from safehands.backup import Repository, step, verify_repository
from safehands.backup.parts import slices
from safehands.datasets import Outcome
from safehands.errors import BackupBroken, KeyProblem
from safehands.store import lock

SUBJECT_1 = "subject_id = md5('s1')::uuid"
EVIDENCE = {"effect", "ledger_entry/000000", "ledger_checkpoint", "step_result/000000"}


def check(home: Home, outcome: Outcome) -> None:
    """The repository verifies, with nothing in it that no generation needs."""
    newest = outcome.details["manifest_digest"]
    report = verify_repository(home.folder, home.provider, home.verifier, newest)
    assert report.leftovers == 0
    assert report.newest == outcome.details["manifest"]


def test_the_first_backup_holds_every_row(home: Home) -> None:
    outcome = home.backup()
    assert not outcome.already
    rows = {t: home.ask(f"SELECT count(*) FROM {t}")[0][0] for t in ("subject", "parcel", "batch")}
    facts = home.ask("SELECT facts FROM backup")[0][0]
    assert (
        {t: facts["tables"][t] for t in rows} == rows == {"subject": 12, "parcel": 45, "batch": 1}
    )
    assert outcome.counts["rows"] == sum(facts["tables"].values())
    assert outcome.counts["parts"] == outcome.counts["written"] == len(facts_parts(home))
    check(home, outcome)


def facts_parts(home: Home) -> list[Any]:
    return home.ask("SELECT part FROM backup_object")


def test_typed_twice_nothing_happens(home: Home) -> None:
    first = home.backup()
    journal.sequence(home.store, home.night().midnight_after)
    before = home.files(), evidence(home)
    again = home.backup()
    assert again.already
    assert again.details == first.details
    assert again.counts["written"] == 0
    assert (home.files(), evidence(home)) == before


def evidence(home: Home) -> list[Any]:
    names = ("backup", "backup_object", "ledger_entry", "ledger_checkpoint", "effect")
    return [home.ask(f"SELECT * FROM {name} ORDER BY 1, 2") for name in names]


def test_what_the_night_writes_about_itself_makes_no_new_generation(home: Home) -> None:
    home.backup()
    home.admin(
        "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
        " VALUES ('r', '2026-11-23', '', 'report', '{}', '{}', 0.5)"
    )
    assert home.backup().already


def test_the_next_night_writes_only_what_changed(home: Home) -> None:
    home.backup()
    home.admin(f"UPDATE subject SET last_seen = '2026-11-24' WHERE {SUBJECT_1}")
    known = {row[0] for row in home.ask("SELECT object FROM backup_object")}
    outcome = home.backup(1)
    fresh = home.ask("SELECT part, object FROM backup_object")
    changed = {part for part, name in fresh if name not in known}
    assert {part for part in changed if part.startswith("subject/")} == {subject_part(home)}
    assert changed - {subject_part(home)} <= EVIDENCE
    assert outcome.counts["written"] == len(changed)
    assert outcome.counts["unchanged"] == outcome.counts["parts"] - len(changed)
    check(home, outcome)


def subject_part(home: Home) -> str:
    nibble = home.ask("SELECT md5('s1')")[0][0][0]
    return f"subject/2/{int(nibble, 16)}of16"


def test_a_new_epoch_rewrites_the_key_segment_and_no_person(home: Home) -> None:
    home.backup()
    home.admin(
        "INSERT INTO epoch VALUES (1, 2, '2026-11-24')",
        "UPDATE subject SET epoch = 2, lookup = md5(lookup::text)::uuid,"
        " wrapped_salt = sha256('again'::bytea) WHERE controller_id = 1",
    )
    subjects = home.ask("SELECT count(*) FROM backup_object WHERE part LIKE 'subject/%'")
    outcome = home.backup(1)
    assert not outcome.already
    assert home.ask("SELECT count(*) FROM backup_object WHERE part LIKE 'subject/%'") == subjects
    assert len(Repository(home.folder).list("keys")) == 2
    check(home, outcome)


def test_a_salt_wrapped_anew_alone_makes_a_generation(home: Home) -> None:
    home.backup()
    home.admin(f"UPDATE subject SET wrapped_salt = sha256('z'::bytea) WHERE {SUBJECT_1}")
    assert not home.backup().already


def test_only_the_newest_two_key_segments_are_kept(home: Home) -> None:
    for day in range(4):
        home.admin(f"UPDATE subject SET wrapped_salt = sha256('{day}'::bytea) WHERE {SUBJECT_1}")
        outcome = home.backup(day)
    names = Repository(home.folder).list("keys")
    assert [name[5:11] for name in names] == ["000003", "000004"]
    check(home, outcome)


def test_the_nightly_machine_needs_no_identity(home: Home) -> None:
    home.provider.destroy("backup-identity")
    assert home.backup().counts["written"] > 0


def test_without_recipients_nothing_is_written(home: Home) -> None:
    (home.settings.keys / "backup-recipients.txt").unlink()
    with pytest.raises(KeyProblem) as caught:
        home.backup()
    assert caught.value.key == "backup.no_recipients"
    assert not home.folder.exists()


def test_the_ledger_and_the_table_record_the_generation(home: Home) -> None:
    outcome = home.backup()
    body = home.ask("SELECT body FROM ledger_entry")[0][0]
    assert outcome.details["manifest"] in body
    assert outcome.details["manifest_digest"] in body
    day, manifest, facts = home.ask("SELECT business_date, manifest, facts FROM backup")[0]
    assert (day, manifest) == (home.night().business_date, outcome.details["manifest"])
    assert facts["manifest_digest"] == outcome.details["manifest_digest"]
    assert home.ask("SELECT step, counts FROM step_result") == [("backup", dict(outcome.counts))]


def test_the_checkpoint_covers_what_was_recorded_before(home: Home) -> None:
    home.backup()
    note = home.backup(1).details["checkpoint"]
    assert note.splitlines()[:2] == ["safehands/ledger", "1"]


def test_two_at_once_make_one_generation(home: Home) -> None:
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(home.backup())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o.already for o in outcomes) == [False, True]
    assert home.ask("SELECT count(*) FROM backup") == [(1,)]
    check(home, outcomes[0])


def test_a_commit_that_is_still_on_its_way_is_waited_for(home: Home) -> None:
    outcomes: list[Outcome] = []
    later = threading.Thread(target=lambda: outcomes.append(home.backup()))
    with home.store.begin() as connection:
        lock(connection, "safehands.backup.commit")
        later.start()
        later.join(0.5)
        assert later.is_alive()
        assert home.files() == {}
    later.join()
    check(home, outcomes[0])


class Killed(BaseException):
    """Stands for the end of the process at that moment."""


def killed_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, turn: int) -> None:
    """Let the ``turn``-th call of ``owner.name`` be the last thing that happens."""
    real, calls = getattr(owner, name), []

    def call(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == turn:
            raise Killed
        return real(*args, **named)

    monkeypatch.setattr(owner, name, call)


MOMENTS = [
    *((Repository, "put", turn) for turn in (1, 17)),
    (step, "seal_manifest", 1),
    (step, "_record", 1),
    (step, "_record_generation", 1),
    (journal, "append", 1),
    (step, "forget_segments", 1),
    (Repository, "settle", 2),
]


@pytest.mark.parametrize(("owner", "name", "turn"), MOMENTS)
def test_killed_and_typed_again_it_is_as_if_undisturbed(
    home: Home, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, turn: int
) -> None:
    with monkeypatch.context() as patched:
        killed_at(patched, owner, name, turn)
        with pytest.raises(Killed):
            home.backup()
    outcome = home.backup()
    check(home, outcome)
    assert home.ask("SELECT count(*) FROM backup") == [(1,)]
    assert home.ask("SELECT count(*) FROM ledger_entry") == [(1,)]
    assert len(Repository(home.folder).list("manifests")) == 1
    assert not [name for name in home.files() if ".p" in name]


def test_killed_with_a_second_generation_the_first_survives(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = home.backup()
    kept = home.files()
    home.admin(f"UPDATE subject SET wrapped_salt = sha256('z'::bytea) WHERE {SUBJECT_1}")
    with monkeypatch.context() as patched:
        killed_at(patched, step, "_record", 1)
        with pytest.raises(Killed):
            home.backup(1)
    assert kept.items() <= home.files().items()
    second = home.backup(1)
    assert home.ask("SELECT manifest FROM backup ORDER BY id") == [
        (first.details["manifest"],),
        (second.details["manifest"],),
    ]
    assert kept.items() <= home.files().items()
    check(home, second)


def test_what_does_not_read_back_is_not_recorded(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Repository.put

    def weak(self: Repository, name: str, data: bytes) -> None:
        real(self, name, data)
        (home.folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "put", weak)
        with pytest.raises(BackupBroken) as caught:
            home.backup()
    assert caught.value.key == "backup.differs"
    assert home.ask("SELECT * FROM backup UNION ALL SELECT * FROM backup") == []
    check(home, home.backup())


def test_a_full_disk_is_said_and_leaves_the_last_generation(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.backup()
    home.admin(f"UPDATE subject SET last_seen = now() WHERE {SUBJECT_1}")

    def full(self: Repository, name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "put", full)
        with pytest.raises(BackupBroken) as caught:
            home.backup(1)
    assert caught.value.key == "backup.cannot_write"
    report = verify_repository(home.folder, home.provider, home.verifier)
    assert report.generations == 1
    check(home, home.backup(1))


@pytest.mark.parametrize("kind", ["objects", "keys", "manifests"])
def test_a_file_that_went_missing_is_written_again(home: Home, kind: str) -> None:
    home.backup()
    Repository(home.folder).remove(Repository(home.folder).list(kind)[0])
    outcome = home.backup()
    assert not outcome.already
    assert outcome.counts["lost"] == (0 if kind == "manifests" else 1)
    assert home.backup().already


def test_an_object_cut_short_is_written_again(home: Home) -> None:
    home.backup()
    part, name = home.ask("SELECT part, object FROM backup_object WHERE part LIKE 'parcel/%'")[0]
    path = home.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    outcome = home.backup(1)
    assert outcome.counts["lost"] == 1
    replaced = home.ask(f"SELECT object FROM backup_object WHERE part = '{part}'")
    assert len(replaced) == 1
    assert replaced[0][0] != name


def test_a_manifest_missing_in_between_is_counted(home: Home) -> None:
    outcomes = [home.backup(day) for day in range(3)]
    Repository(home.folder).remove(outcomes[1].details["manifest"])
    assert home.backup(3).counts["lost"] == 1


def test_a_new_folder_gets_everything(home: Home, tmp_path: Path) -> None:
    home.backup()
    home.folder.rename(tmp_path / "elsewhere")
    outcome = home.backup()
    assert outcome.counts["written"] == outcome.counts["parts"]
    check(home, outcome)
    again = home.backup(1)
    assert again.counts["lost"] == 0


def test_the_folder_of_another_store_is_left_alone(home: Home) -> None:
    home.backup()
    tables = ("backup_reference", "backup", "backup_object", "effect")
    home.admin(*(f"DELETE FROM {table}" for table in tables))
    before = home.files()
    with pytest.raises(BackupBroken) as caught:
        home.backup(1)
    assert caught.value.key == "backup.foreign"
    assert home.files() == before


def test_a_part_that_was_not_read_fails_the_backup(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = slices
    monkeypatch.setattr(step, "slices", lambda connection, table: real(connection, table)[1:])
    with pytest.raises(BackupBroken) as caught:
        home.backup()
    assert caught.value.key == "backup.counts_differ"
    assert home.ask("SELECT * FROM backup_object") == []


def test_rows_loaded_meanwhile_wait_for_the_next_night(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = slices, list[int]()

    def busy(connection: Any, table: Any) -> Any:
        if not done:
            done.append(1)
            home.admin("DELETE FROM parcel", "DELETE FROM custody")
        return real(connection, table)

    monkeypatch.setattr(step, "slices", busy)
    home.backup()
    facts = home.ask("SELECT facts FROM backup")[0][0]
    assert facts["tables"]["custody"] == 1
    assert facts["tables"]["parcel"] == 45


def test_names_and_recorded_facts_hold_nothing_of_a_person(home: Home) -> None:
    home.backup()
    ids = [row[0].hex for row in home.ask("SELECT subject_id FROM subject")]
    shown = " ".join([*home.files(), *(str(row) for row in evidence(home))]).replace("-", "")
    assert not [one for one in ids if one in shown]


def test_an_empty_store_can_be_backed_up(home: Home) -> None:
    home.admin("TRUNCATE subject, parcel, custody, preference, tombstone, quarantine CASCADE")
    outcome = home.backup()
    check(home, outcome)
