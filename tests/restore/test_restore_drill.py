"""Proofs and drills: a backup that was restored, timed and certified, or a drill that says why not.

The stores here are made by a real night, because every sealed record is opened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from secrets import token_hex
from threading import Timer
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from nights import BUSINESS_DATE, NOW
from safehands import journal, pipeline
from safehands.backup import Repository, open_repository, prune
from safehands.backuppolicy import load_backup_policy
from safehands.errors import BackupBroken, KeyProblem, SafehandsError
from safehands.installation import Installation
from safehands.ledger import load_document, verify_document
from safehands.restore import Drill, drill, last_drill, prove
from safehands.restore.scratch import scratch
from safehands.rotation import rotate_data
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import owners

HEADER = "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,库位,状态,入库时间,取件时间"


def lay(landing: Path, name: str, first: int) -> None:
    """Write one export of ten parcels of ten people."""
    lines = [HEADER] + [
        f"SF{first + i:013d},顺丰,测试,138{first:04d}{i:04d},广东省深圳市南山区试验路{i}号,1-2,"
        "A-01,已取件,2026-11-20 10:00:00,2026-11-20 18:00:00"
        for i in range(10)
    ]
    (landing / "shop").mkdir(parents=True, exist_ok=True)
    (landing / "shop" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def night(inst: Installation, day: date) -> None:
    pipeline.nightly(inst, day, lambda *_: None)


@pytest.fixture
def backed_up(inst: Installation) -> Installation:
    """A store after two nights, with two generations."""
    for number in (1, 0):
        lay(inst.settings.landing, f"export-{number}", 1000 * number + 1000)
        night(inst, BUSINESS_DATE - timedelta(days=number))
    return inst


def ticking() -> Callable[[], float]:
    seconds = count(0, 2)
    return lambda: float(next(seconds))


def do(inst: Installation, day: date = BUSINESS_DATE) -> Drill:
    repository = open_repository(inst.settings)
    later = NOW + timedelta(minutes=30)
    return drill(inst.store, repository, inst.settings.reports, day, later, ticking())


def ask(inst: Installation, query: str) -> list[Any]:
    with inst.store.admin().connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def databases(cluster: Any) -> set[str]:
    with psycopg.connect(**cluster.server.conninfo("postgres")) as connection:
        found = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {str(row[0]) for row in found}


def test_a_proof_opens_everything_and_leaves_nothing_behind(
    backed_up: Installation, cluster: Any
) -> None:
    before = databases(cluster)
    entries = ask(backed_up, "SELECT * FROM ledger_entry ORDER BY id")
    verifier = journal.signing_key(backed_up.provider).verifier
    repository = open_repository(backed_up.settings)
    found = prove(backed_up.store, repository, verifier, NOW, ticking())
    assert found.store_digest == store_digest(backed_up.store)
    assert found.seconds == 2.0
    assert databases(cluster) == before
    assert ask(backed_up, "SELECT manifest, kind FROM generation_proof") == [
        (found.restored.generation, "prove")
    ]
    # The trial's ledger was not signed: two ledgers of one length must never exist.
    assert ask(backed_up, "SELECT * FROM ledger_entry ORDER BY id") == entries


def test_a_generation_from_before_a_rotation_of_data_keys_still_opens(
    inst: Installation,
) -> None:
    """Until the new lineage is proved and the old one pruned, the old data key is in its backup."""
    lay(inst.settings.landing, "export", 1000)
    night(inst, BUSINESS_DATE - timedelta(days=1))
    before = store_digest(inst.store)
    for owner in owners(inst.store).values():
        rotate_data(inst.store, owner, NOW)
    night(inst, BUSINESS_DATE)
    [older, newest] = ask(inst, "SELECT manifest, facts ->> 'lineage' FROM backup ORDER BY id")
    assert (older[1], newest[1]) == ("0", "1")
    repository = open_repository(inst.settings)
    verifier = journal.signing_key(inst.provider).verifier
    for manifest in (older[0], newest[0]):
        found = prove(inst.store, repository, verifier, NOW, ticking(), generation=manifest)
        assert found.store_digest == before
    rules = load_backup_policy(inst.settings.policy)
    done = prune(repository, inst.store, rules, "r", NOW)
    assert done.counts["removed"] == 1
    assert ask(inst, "SELECT manifest FROM backup WHERE prune_id IS NULL") == [(newest[0],)]


def test_without_a_key_there_is_no_proof(backed_up: Installation) -> None:
    for name in backed_up.provider.names("epoch"):
        backed_up.provider.destroy(name)
    verifier = journal.signing_key(backed_up.provider).verifier
    repository = open_repository(backed_up.settings)
    with pytest.raises(KeyProblem):
        prove(backed_up.store, repository, verifier, NOW, ticking())
    assert ask(backed_up, "SELECT * FROM generation_proof") == []


def test_what_a_killed_proof_left_is_dropped(backed_up: Installation, cluster: Any) -> None:
    before = databases(cluster)
    with psycopg.connect(**cluster.server.conninfo("postgres"), autocommit=True) as connection:
        name = backed_up.store.url.split("?")[0].rpartition("/")[2]
        connection.execute(f"CREATE DATABASE {name}_proof".encode())
    with scratch(backed_up.store, "proof") as target, pytest.raises(psycopg.OperationalError):
        psycopg.connect(**cluster.server.conninfo(f"{name}_proof")).close()
    assert target.url != backed_up.store.url
    assert databases(cluster) == before


def test_one_who_may_only_make_databases_drops_it_when_others_have_left(
    store: Store, cluster: Any
) -> None:
    """As in production: no superuser, who may not end the sessions of other roles."""
    word, before = token_hex(16), databases(cluster)
    with psycopg.connect(**cluster.server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE sh_maker LOGIN CREATEDB PASSWORD '{word}'".encode())
        connection.execute(f"CREATE ROLE sh_guest LOGIN PASSWORD '{word}'".encode())
        maker = make_url(store.url).set(username="sh_maker", password=word)
        mine = Store(maker.render_as_string(hide_password=False), store.provider)
        try:
            with scratch(mine, "proof") as target:
                link = cluster.server.conninfo(make_url(target.url).database)
                name = link["dbname"]
                connection.execute(f"CREATE DATABASE {name} OWNER sh_maker".encode())
                guest = psycopg.connect(**{**link, "user": "sh_guest", "password": word})
                Timer(0.5, guest.close).start()
            assert databases(cluster) == before
        finally:
            mine.close()
            connection.execute(b"DROP ROLE sh_maker, sh_guest")


def test_a_drill_restores_two_generations_and_certifies(backed_up: Installation) -> None:
    done = do(backed_up)
    body = done.body
    manifests = [row[0] for row in ask(backed_up, "SELECT manifest FROM backup ORDER BY id")]
    assert body["older"]["generation"] == manifests[0]
    assert body["newest"]["generation"] == manifests[1]
    assert body["newest"]["store_digest"] == store_digest(backed_up.store)
    assert body["newest"]["people"] > body["older"]["people"] > 0
    assert (body["newest"]["milliseconds"], done.rto_seconds) == (2000, 2.0)
    assert body["recovery_point"] == NOW.isoformat(timespec="seconds")
    assert body["lost_seconds"] == 1800
    document = load_document(done.path.read_text(encoding="utf-8"))
    verifier = journal.signing_key(backed_up.provider).verifier
    assert verify_document(document, verifier).kind == "restore_drill"
    assert sorted(row[0] for row in ask(backed_up, "SELECT kind FROM generation_proof")) == [
        "drill",
        "drill",
    ]
    with backed_up.store.begin() as connection:
        last = last_drill(connection)
    assert last is not None
    assert (last["passed"], last["rto_seconds"], last["day"]) == (True, 2.0, "2026-11-23")
    assert last["recovery_point"] == NOW


def test_the_same_drill_twice_is_one(backed_up: Installation) -> None:
    first = do(backed_up)
    entries = ask(backed_up, "SELECT * FROM ledger_entry ORDER BY id")
    first.path.unlink()
    again = do(backed_up)
    assert again == replace(first, already=True)
    assert again.path.exists()
    assert ask(backed_up, "SELECT * FROM ledger_entry ORDER BY id") == entries
    assert len(ask(backed_up, "SELECT * FROM restore_drill")) == 1


def test_each_week_another_older_generation_is_tried(backed_up: Installation) -> None:
    lay(backed_up.settings.landing, "more", 5000)
    night(backed_up, BUSINESS_DATE)
    tried = [
        do(backed_up, BUSINESS_DATE - timedelta(weeks=week)).body["older"]["generation"]
        for week in range(2)
    ]
    assert len(set(tried)) == 2


def test_one_generation_alone_is_drilled(inst: Installation) -> None:
    lay(inst.settings.landing, "export", 1000)
    night(inst, BUSINESS_DATE)
    assert do(inst).body["older"] is None


def flip(folder: Path) -> None:
    for path in sorted((folder / "objects").iterdir()):
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(bytes(whole))


def zero(folder: Path) -> None:
    for path in sorted((folder / "keys").iterdir()):
        path.write_bytes(b"")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)


def rolled_back(folder: Path) -> None:
    newest = max((folder / "manifests").iterdir(), key=lambda path: path.name)
    newest.unlink()


@pytest.mark.parametrize("harm", [flip, zero, empty, rolled_back])
def test_a_drill_that_fails_says_so_and_is_recorded(
    backed_up: Installation, harm: Callable[[Path], None]
) -> None:
    harm(backed_up.settings.backups)
    with pytest.raises(BackupBroken) as caught:
        do(backed_up)
    [(passed, problem)] = ask(backed_up, "SELECT passed, problem FROM restore_drill")
    assert not passed
    assert problem["key"] == caught.value.key
    assert problem["exit_code"] == 60
    body = ask(backed_up, "SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 1")[0][0]
    assert json.loads(body)["facts"]["passed"] is False
    assert ask(backed_up, "SELECT * FROM generation_proof") == []
    assert not list((backed_up.settings.reports).rglob("restore-drill*"))


def test_after_a_failure_the_next_one_can_pass(backed_up: Installation, tmp_path: Path) -> None:
    kept = Path(shutil.copytree(backed_up.settings.backups, tmp_path / "kept"))
    flip(backed_up.settings.backups)
    with pytest.raises(SafehandsError):
        do(backed_up)
    shutil.rmtree(backed_up.settings.backups)
    shutil.copytree(kept, backed_up.settings.backups)
    assert not do(backed_up).already


def test_a_backup_waits_while_the_drill_reads(
    backed_up: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    real = Repository.get

    def get(self: Repository, name: str) -> bytes:
        query = "SELECT pg_try_advisory_lock(hashtext('safehands.backup'))"
        held.append(not ask(backed_up, query)[0][0])
        return real(self, name)

    monkeypatch.setattr(Repository, "get", get)
    do(backed_up)
    assert held
    assert all(held)


@pytest.fixture
def report(backed_up: Installation) -> Iterator[Callable[[], dict[str, Any]]]:
    """A function that writes tonight's report and returns what it says."""

    def write() -> dict[str, Any]:
        outcome = pipeline.report(backed_up, pipeline.Head.of(BUSINESS_DATE))
        found: dict[str, Any] = json.loads(Path(outcome.details["json"]).read_text("utf-8"))
        return found

    return write


def keys(items: list[dict[str, Any]]) -> set[str]:
    return {item["key"] for item in items}


def test_the_report_says_when_the_last_drill_was(
    backed_up: Installation, report: Callable[[], dict[str, Any]]
) -> None:
    before = report()
    assert before["drill"] is None
    assert "no_drill" in keys(before["warnings"])
    do(backed_up)
    after = report()
    assert after["drill"]["day"] == BUSINESS_DATE.isoformat()
    assert (after["drill"]["passed"], after["drill"]["overdue"]) == (True, False)
    assert after["drill"]["recovery_point"] == "2026-11-24 02:00"
    assert "no_drill" not in keys(after["warnings"])


def test_the_report_says_when_a_drill_failed_or_is_overdue(
    backed_up: Installation, report: Callable[[], dict[str, Any]]
) -> None:
    do(backed_up, BUSINESS_DATE - timedelta(days=8))
    old = report()
    assert old["drill"]["overdue"]
    assert "no_drill" in keys(old["warnings"])
    assert "drill_failed" not in keys(old["attention"])
    flip(backed_up.settings.backups)
    with pytest.raises(BackupBroken):
        do(backed_up)
    failed = report()
    assert "drill_failed" in keys(failed["attention"])
    assert failed["drill"]["passed_day"] == (BUSINESS_DATE - timedelta(days=8)).isoformat()
