"""Generations that policy no longer keeps go, with the objects that only they needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backup_home import NOW, Home
from safehands import journal
from safehands.backup import Repository, planned, prune, verify_repository
from safehands.backup.manifest import Generation
from safehands.backup.pruned import Note, note_name, open_notes, seal_note
from safehands.backup.repository import MANIFESTS, OBJECTS, PRUNES
from safehands.backuppolicy import BackupPolicy, load_backup_policy
from safehands.datasets import Outcome
from safehands.errors import BackupBroken
from safehands.journal import ORIGIN
from safehands.ledger import SigningKey

POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"


@pytest.fixture
def rules() -> BackupPolicy:
    """One day is enough."""
    keep = {"daily": 1, "weekly": 0, "monthly": 0, "at_most_days": 35}
    return BackupPolicy.model_validate({**load_backup_policy(POLICY).model_dump(), "keep": keep})


def proved(home: Home) -> None:
    home.admin(
        "INSERT INTO generation_proof (manifest, manifest_digest, kind, proved_at, facts)"
        " SELECT manifest, facts ->> 'manifest_digest', 'prove', now(), '{}' FROM backup"
        " ORDER BY id DESC LIMIT 1"
    )


def three(home: Home) -> list[Outcome]:
    """Three generations, of which the last is proved; each has an object of its own."""
    outcomes = []
    for day in range(3):
        home.admin(f"UPDATE preference SET notify_channel = {day}")
        outcomes.append(home.backup(day))
    proved(home)
    return outcomes


def do(home: Home, rules: BackupPolicy) -> Outcome:
    return prune(Repository(home.folder), home.store, rules, "prune-test", NOW)


def verify(home: Home, folder: Path | None = None) -> Any:
    return verify_repository(folder or home.folder, home.provider, home.verifier)


def refused(home: Home, folder: Path) -> str:
    with pytest.raises(BackupBroken) as caught:
        verify(home, folder)
    return caught.value.key


def test_old_generations_go_and_what_stays_verifies(home: Home, rules: BackupPolicy) -> None:
    outcomes = three(home)
    needed = home.ask(
        "SELECT count(DISTINCT object) FROM backup_reference"
        f" WHERE manifest = '{outcomes[2].details['manifest']}'"
    )[0][0]
    done = do(home, rules)
    assert (done.counts["kept"], done.counts["removed"], done.already) == (1, 2, False)
    repository = Repository(home.folder)
    assert repository.list(MANIFESTS) == [outcomes[2].details["manifest"]]
    assert len(repository.list(OBJECTS)) == needed
    report = verify(home)
    assert (report.generations, report.leftovers) == (1, 0)


def test_objects_that_a_kept_generation_needs_stay(home: Home, rules: BackupPolicy) -> None:
    three(home)
    before = set(Repository(home.folder).list(OBJECTS))
    do(home, rules)
    after = set(Repository(home.folder).list(OBJECTS))
    kept = {row[0] for row in home.ask("SELECT object FROM backup_reference")}
    assert after == kept < before
    assert {row[0] for row in home.ask("SELECT object FROM backup_object")} == after


def test_a_second_call_does_nothing(home: Home, rules: BackupPolicy) -> None:
    three(home)
    do(home, rules)
    before = home.files(), home.ask("SELECT * FROM ledger_entry ORDER BY id")
    again = do(home, rules)
    assert again.already
    assert again.counts == {"kept": 1, "removed": 0, "files": 0}
    assert (home.files(), home.ask("SELECT * FROM ledger_entry ORDER BY id")) == before


def test_without_a_proof_nothing_goes(home: Home, rules: BackupPolicy) -> None:
    three(home)
    home.admin("DELETE FROM generation_proof")
    before = home.files()
    assert do(home, rules).counts["removed"] == 0
    assert home.files() == before


def test_the_plan_is_what_is_done(home: Home, rules: BackupPolicy) -> None:
    three(home)
    plan = planned(home.store, rules)
    before = home.files()
    assert home.files() == before
    do(home, rules)
    left = set(Repository(home.folder).list(MANIFESTS))
    assert left == set(plan.kept)


def test_the_ledger_records_what_went(home: Home, rules: BackupPolicy) -> None:
    outcomes = three(home)
    do(home, rules)
    body = home.ask("SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 1")[0][0]
    assert '"event":"prune"' in body
    assert outcomes[0].details["manifest"] in body
    assert rules.digest in body


def test_the_identity_is_not_needed(home: Home, rules: BackupPolicy) -> None:
    three(home)
    home.provider.destroy("backup-identity")
    assert do(home, rules).counts["removed"] == 2


def test_the_next_backup_goes_on_and_drops_the_note(home: Home, rules: BackupPolicy) -> None:
    three(home)
    do(home, rules)
    assert len(Repository(home.folder).list(PRUNES)) == 1
    home.admin("UPDATE preference SET notify_channel = 0")
    outcome = home.backup(3)
    assert outcome.counts["lost"] == 0
    assert Repository(home.folder).list(PRUNES) == []
    report = verify(home)
    assert (report.generations, report.leftovers) == (2, 0)


def test_the_repository_of_another_store_is_left_alone(home: Home, rules: BackupPolicy) -> None:
    three(home)
    home.admin(
        *(f"DELETE FROM {t}" for t in ("backup_reference", "backup", "backup_object", "effect"))
    )
    before = home.files()
    with pytest.raises(BackupBroken) as caught:
        do(home, rules)
    assert caught.value.key == "backup.foreign"
    assert home.files() == before


# What verification makes of a pruned repository


@pytest.fixture
def pruned(home: Home, rules: BackupPolicy, tmp_path: Path) -> tuple[Home, Path, Path]:
    """A home whose repository was pruned, a copy from before and one from after."""
    three(home)
    before = Path(shutil.copytree(home.folder, tmp_path / "before"))
    do(home, rules)
    after = Path(shutil.copytree(home.folder, tmp_path / "after"))
    return home, before, after


def test_a_pruned_manifest_put_back_is_seen(pruned: tuple[Home, Path, Path]) -> None:
    home, before, after = pruned
    for name in set(Repository(before).list(MANIFESTS)) - set(Repository(after).list(MANIFESTS)):
        shutil.copy(before / name, after / name)
        assert refused(home, after) == "backup.unexpected"
        (after / name).unlink()
    verify(home, after)


def test_a_note_taken_away_is_seen(pruned: tuple[Home, Path, Path]) -> None:
    home, _, after = pruned
    for name in Repository(after).list(PRUNES):
        (after / name).unlink()
    assert refused(home, after) == "backup.missing"


def test_any_change_of_a_note_is_seen(pruned: tuple[Home, Path, Path]) -> None:
    home, _, after = pruned
    [name] = Repository(after).list(PRUNES)
    whole = (after / name).read_bytes()
    for place in range(0, len(whole), 7):
        bad = bytearray(whole)
        bad[place] ^= 1
        (after / name).write_bytes(bytes(bad))
        assert refused(home, after) == "backup.differs"
    (after / name).write_bytes(whole)
    verify(home, after)


def forged(folder: Path, note: Note, signer: SigningKey) -> str:
    data = seal_note(note, signer)
    name = note_name(note, data)
    (folder / "prunes").mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return name


def test_a_note_that_somebody_else_signed_hides_nothing(
    pruned: tuple[Home, Path, Path],
) -> None:
    home, before, _ = pruned
    name = Repository(before).list(MANIFESTS)[0]
    newest = home.ask("SELECT facts ->> 'manifest_digest' FROM backup ORDER BY id DESC LIMIT 1")
    (before / name).unlink()
    note = Note(9, "removed", newest[0][0], (Generation(name, "0" * 64),))
    forged(before, note, SigningKey.generate(ORIGIN))
    assert refused(home, before) == "backup.signature"


def test_the_note_of_an_earlier_prune_put_back_is_seen(pruned: tuple[Home, Path, Path]) -> None:
    home, _, after = pruned
    signer = journal.signing_key(home.provider)
    forged(after, Note(7, "removed", "0" * 64, ()), signer)
    assert refused(home, after) == "backup.unexpected"


def test_a_prune_that_was_killed_halfway_is_no_offence(pruned: tuple[Home, Path, Path]) -> None:
    """Its note says what is on its way out: there or not, both is right."""
    home, before, after = pruned
    signer = journal.signing_key(home.provider)
    notes = open_notes(Repository(after), Repository(after).list(PRUNES), home.verifier)
    [done] = notes.values()
    forged(before, Note(done.number, "removing", done.newest, done.removed), signer)
    report = verify(home, before)
    assert report.generations == 1
    assert report.leftovers > 0
    (before / done.removed[0].name).unlink()
    assert verify(home, before).generations == 1


def test_without_the_identity_a_pruned_repository_is_clean(
    pruned: tuple[Home, Path, Path],
) -> None:
    home, _, after = pruned
    assert not verify_repository(after, None, home.verifier).opened


def test_a_fork_of_the_ledger_between_generations_is_seen(home: Home) -> None:
    """The newest ledger must hold every older one as a prefix."""
    home.backup()
    home.backup(1)
    home.backup(2)
    with home.store.admin().begin() as connection:
        body = "SELECT body FROM ledger_entry WHERE seq = 0"
        old = str(connection.execute(text(body)).scalar_one())
        change = text("UPDATE ledger_entry SET body = :body WHERE seq = 0")
        connection.execute(change, {"body": old.replace('"event":"backup"', '"event":"bakcup"')})
        # Somebody with the keys signs the changed ledger as if nothing had happened.
        connection.execute(text("UPDATE ledger_entry SET seq = NULL WHERE seq = 2"))
        connection.execute(text("DELETE FROM ledger_checkpoint WHERE size = 3"))
    verify(home)
    home.backup(3)
    assert refused(home, home.folder) == "backup.manifest"
