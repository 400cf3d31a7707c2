"""The night on Celery: two workers, served PostgreSQL, Redis and an S3 server, all on loopback.

The commands and settings are those of ``docker-compose.yaml``. With ``SAFEHANDS_SCALE=1`` (``make
scale-test``) a worker is killed in every step, with ``SAFEHANDS_SCALE=ingest,report`` in those,
otherwise in two of them.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Any

import fsspec
import pytest
from chain_landing import write_chain
from following import Followed, follow
from sqlalchemy import text
from stack import Stack, missing

from nights import BUSINESS_DATE
from safehands import embedded, journal
from safehands.installation import database_url, key_sources
from safehands.keys.choose import choose
from safehands.restore.drill import last_drill
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands_airflow.metadata import POOLS

DAG, EXPORTS = "nightly_governance", "exports"
SHARD_STEPS = ("ingest", "validate", "minimise", "pseudonymise")
# ``prove`` finds nothing to prove on this night; killed, it has to find that once more.
ALL = ("plan", *SHARD_STEPS, "purge", "backup", "prove", "report", "verdict", "close")
SCALE = os.environ.get("SAFEHANDS_SCALE", "pseudonymise,backup")
KILLED = ALL if SCALE == "1" else tuple(SCALE.split(","))
STATIONS, PARCELS, PEOPLE = 8, 40_000, 4_000
DAY: date = BUSINESS_DATE

ABSENT = missing()
# In CI the night is not skipped: what is missing there fails it.
pytestmark = pytest.mark.skipif(
    bool(ABSENT) and not os.environ.get("CI"),
    reason=f"served services are missing here: {', '.join(ABSENT)}",
)


@dataclass
class Night:
    """A stack after its night, and the landing on this machine."""

    stack: Stack
    landing: Path
    followed: Followed

    def store(self) -> Store:
        """The workers' store, with their keys."""
        settings = Settings.read(self.stack.environ("worker"))
        return Store(database_url(settings), choose(settings.keys_url, key_sources(settings)))


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    assert not ABSENT, f"install them, or unset CI: {', '.join(ABSENT)}"
    folder = Path(tempfile.mkdtemp(prefix="sh-scale-"))
    stack = Stack(folder, {"SAFEHANDS_SHARD_MEGABYTES": "1"})
    try:
        stack.start()
        landing = folder / "landing"
        write_chain(landing, DAY, STATIONS, PARCELS, PEOPLE)
        _upload(stack, landing)
        for number in (1, 2):
            stack.run("worker", number)
        stack.await_dag(DAG)
        conf = {"business_date": DAY.isoformat(), "landing": f"s3://{EXPORTS}"}
        followed = follow(stack, DAG, conf, KILLED, seconds=900 + 120 * len(KILLED))
        yield Night(stack, landing, followed)
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def alone(night: Night) -> Iterator[Store]:
    """The same objects governed by one command on one machine, under the same root key.

    The same objects: a file of an object store is known by its tag, one of a folder by its digest,
    and quarantined rows point to it.
    """
    home = Path(tempfile.mkdtemp(prefix="sh-alone-"))
    keys = home / "keys"
    keys.mkdir(mode=0o700)
    shutil.copy2(night.stack.folder / "data" / "keys" / "root.key", keys)
    worker = night.stack.environ("worker")
    environment = {
        **{name: value for name, value in worker.items() if name.startswith("AWS_")},
        "SAFEHANDS_POLICY": worker["SAFEHANDS_POLICY"],
        "SAFEHANDS_HOME": str(home),
        "SAFEHANDS_LANDING": f"s3://{EXPORTS}",
        "SAFEHANDS_SHARD_MEGABYTES": "1",
    }
    try:
        # A process of its own: nothing that other tests left in this one's environment steers it.
        words = ("nightly", "--date", DAY.isoformat(), "--lang", "en")
        done = subprocess.run(
            [Path(sys.executable).parent / "safehands", *words],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        settings = Settings.read(environment)
        store = Store(database_url(settings), choose(settings.keys_url, key_sources(settings)))
        yield store
        store.close()
    finally:
        embedded.remove(embedded.Place(home))
        shutil.rmtree(home, ignore_errors=True)


def _upload(stack: Stack, landing: Path) -> None:
    """Into a bucket of its own: a scheduled night may start beside ours, and finds nothing."""
    store = objects(stack)
    place = {"LocationConstraint": "cn-north-1"}
    store.call_s3("create_bucket", Bucket=EXPORTS, CreateBucketConfiguration=place)
    store.put(f"{landing}/", f"{EXPORTS}/", recursive=True)


def objects(stack: Stack) -> Any:
    """A client of the object store with the stack's own credentials and authority."""
    secrets = stack.folder / "secrets"
    found = configparser.ConfigParser()
    found.read(secrets / "objects_credentials")
    login = found["default"]
    return fsspec.filesystem(
        "s3",
        key=login["aws_access_key_id"],
        secret=login["aws_secret_access_key"],
        endpoint_url=f"https://127.0.0.1:{stack.ports['objects']}",
        client_kwargs={"verify": str(secrets / "objects_ca"), "region_name": "cn-north-1"},
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def test_the_run_finishes_on_both_workers(night: Night) -> None:
    followed = night.followed
    assert followed.state == "success", followed.failed
    assert followed.failed == []
    assert set(followed.workers) == {"worker-1", "worker-2"}
    assert [followed.tasks[f"shard.{step}"] for step in SHARD_STEPS] == [8, 8, 8, 8]


def test_the_store_is_that_of_one_machine(night: Night, alone: Store) -> None:
    assert store_digest(night.store()) == store_digest(alone)


def test_nothing_is_lost_or_done_twice(night: Night, alone: Store) -> None:
    """Batches, events and what each step counted: those of a night that nobody disturbed."""
    store = night.store()
    journal.verify(store, journal.signing_key(store.provider).verifier)
    ours, theirs = _record(store), _record(alone)
    assert len(ours.batches) == STATIONS
    assert ours == theirs


@dataclass(frozen=True)
class Record:
    """What a night left behind it: its files, its own events and what they counted."""

    batches: list[str]
    events: dict[str, int]
    counted: dict[str, int]


def _record(store: Store) -> Record:
    with store.begin("safehands_backup") as connection:
        batches = connection.execute(text("SELECT file_digest, run FROM batch")).all()
        bodies = connection.execute(text("SELECT body FROM ledger_entry")).scalars().all()
    runs = {run for _, run in batches}
    # Airflow's risk assessment follows the night by itself, under a run of its own.
    own = [one for one in map(json.loads, bodies) if one["run"] in runs]
    counted: Counter[str] = Counter()
    for one in own:
        for name in ("in", "out", "new", "changed", "duplicates"):
            counted[f"{one['event']}.{name}"] += one["facts"].get("counts", {}).get(name, 0)
    events = Counter(one["event"] for one in own)
    return Record(sorted(digest for digest, _ in batches), dict(events), dict(counted))


def test_no_more_tasks_write_to_the_store_than_its_pool_has_slots(night: Night) -> None:
    [(pool, (slots, _))] = POOLS.items()
    writing = [one for one in night.followed.instances if one["pool"] == pool]
    assert {one["task_id"] for one in writing} == {"shard.pseudonymise"}
    began = [(one["start_date"], 1) for one in writing]
    ended = [(one["end_date"], -1) for one in writing]
    at_once = list(accumulate(change for _, change in sorted(began + ended)))
    assert len(writing) == STATIONS
    assert max(at_once) <= slots


def test_killed_workers_are_made_up_for_within_a_minute(
    night: Night, record_property: Callable[[str, object], None]
) -> None:
    record_property("told", night.followed.told())
    assert set(night.followed.recovered) == set(KILLED)
    assert max(night.followed.noticed.values()) < 60


def test_landing_work_and_backups_lie_in_the_object_store(night: Night) -> None:
    store = objects(night.stack)
    assert list(store.find("work")) == []
    backups = store.find("backups")
    assert sum("/manifests/" in key for key in backups) == 1
    assert any("/objects/" in key for key in backups)
    home = night.stack.folder / "data" / "home"
    assert not list(home.glob("work/**/*.parquet"))
    assert not (home / "backups").exists()


def test_the_workers_know_nothing_of_airflows_database(night: Night) -> None:
    """Neither its address nor a password for it reaches a worker, nor a key of that side."""
    worker = night.stack.environ("worker")
    assert not [name for name in worker if re.search("SQL_ALCHEMY|FERNET|SECRET", name)]
    assert "metadata" not in " ".join(worker.values())


def test_no_keys_of_the_run_are_left(night: Night) -> None:
    assert not list((night.stack.folder / "data" / "keys").glob("run/*"))


def test_pages_read_evidence_on_a_server_that_holds_no_key(night: Night) -> None:
    server = night.stack.environ("api-server")
    assert not [n for n in server if n in ("SAFEHANDS_DATABASE_URL", "SAFEHANDS_KEYS")]
    status, page = night.stack.page("/safehands/overview")
    assert status == 200, night.stack.log("api-server")
    assert "nightly" in page or DAY.isoformat() in page
    status, page = night.stack.page("/safehands/requests")
    assert status == 503


def test_what_was_backed_up_to_the_object_store_is_restored(night: Night, alone: Store) -> None:
    """The weekly drill, as a worker does it: every byte read, restored beside the store, compared.

    Last, because it adds to the ledger.
    """
    words = ("backup", "drill", "--date", DAY.isoformat(), "--json")
    done = subprocess.run(
        [Path(sys.executable).parent / "safehands", *words],
        env=night.stack.environ("worker"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    body = json.loads(done.stdout)
    store = night.store()
    assert body["newest"]["store_digest"] == store_digest(store) == store_digest(alone)
    assert body["newest"]["people"] > 0
    with store.begin("safehands_auditor") as connection:
        kept = last_drill(connection)
    assert kept is not None
    assert kept["passed"]
    certificates = night.stack.folder / "data" / "home" / "reports" / "certificates"
    assert len(list(certificates.glob("restore-drill-*.json"))) == 1
