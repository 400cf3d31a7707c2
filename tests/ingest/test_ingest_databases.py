"""A station's own database: only what is new, each row once, and the watermark after the commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands import pipeline
from safehands.errors import BadInput, PolicyError
from safehands.ingest import databases, windows
from safehands.installation import Installation
from safehands.settings import Hidden
from safehands.stations import Controller, Database, Register, Station, load_register

QUERY = (
    'SELECT mail_no AS "运单号", name AS "收件人", phone AS "收件人手机号", changed AS "入库时间",'
    " changed FROM parcels"
)
PASSWORD = "s3cret-of-the-source"


class Source:
    """A database with parcels; ``add`` puts numbered ones in, an hour apart each."""

    def __init__(self, url: str, run: Callable[[str], Any]) -> None:
        self.url, self.run = url, run
        run("CREATE TABLE parcels (id int, mail_no text, name text, phone text, changed timestamp)")

    def add(self, *numbers: int) -> None:
        for n in numbers:
            self.run(
                f"INSERT INTO parcels VALUES ({n}, 'SF{1000000000 + n}', '王小明',"
                f" '138{10000000 + n}', '2026-11-{20 + n // 24:02} {n % 24:02}:00:00')"
            )


@pytest.fixture(params=["sqlite", "postgresql"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    if request.param == "sqlite":
        file = (
            sqlite3.connect(tmp_path / "station.db", autocommit=True)
            if False
            else sqlite3.connect(tmp_path / "station.db", isolation_level=None)
        )
        yield Source(f"sqlite:///{tmp_path / 'station.db'}", file.execute)
        file.close()
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.clone()
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        yield Source(url, connection.execute)


def declare(landing: Path, **changes: Any) -> None:
    database = {"name": "pos", "query": QUERY, "watermark": "changed", **changes}
    station = {"code": "S1", "name": "s", "folder": "s1", "databases": [database]}
    owner = {"code": "owner", "name": "o", "record_sets": {}, "stations": [station]}
    (landing / "s1").mkdir(exist_ok=True)
    (landing / "stations.yaml").write_text(yaml.safe_dump({"controllers": [owner]}))


def with_url(inst: Installation, url: str) -> Installation:
    secret = Hidden({"SAFEHANDS_SOURCE_POS": url})
    return replace(inst, settings=replace(inst.settings, secret=secret))


def night(inst: Installation) -> list[str]:
    """Do a night; return the watermarks of the windows that were planned."""
    made = pipeline.nightly(inst, BUSINESS_DATE, lambda *_: None)
    return [f.window.high for s in made.shards for f in s.files if f.window]


def loaded(inst: Installation) -> int:
    with inst.store.admin().connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM parcel")).scalar_one())


def test_only_what_is_new_is_read(inst: Installation, source: Source) -> None:
    declare(inst.settings.landing)
    inst = with_url(inst, source.url)
    source.add(1, 2, 3)
    assert len(night(inst)) == 1
    assert loaded(inst) == 3
    assert night(inst) == []
    source.add(4, 5)
    assert len(night(inst)) == 1
    assert loaded(inst) == 5


def test_the_watermark_moves_with_the_commit_only(inst: Installation, source: Source) -> None:
    declare(inst.settings.landing)
    inst = with_url(inst, source.url)
    source.add(1, 2)
    planned = pipeline.plan(inst, BUSINESS_DATE)
    handoff = pipeline.ingest(inst, planned.head, planned.shards[0])
    assert handoff.counts["out"] == 2
    # The night ended here. What was read and not loaded is read again, with what came since.
    source.add(3)
    assert len(night(inst)) == 1
    assert loaded(inst) == 3


def test_overlap_finds_what_was_committed_late(inst: Installation, source: Source) -> None:
    declare(inst.settings.landing, overlap=3 * 3600)
    inst = with_url(inst, source.url)
    source.add(1, 10)
    night(inst)
    source.add(9, 11)
    night(inst)
    assert loaded(inst) == 4


def test_a_gap_in_the_chain_of_windows_is_read_again(
    inst: Installation, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_WINDOW", 2)
    declare(inst.settings.landing)
    inst = with_url(inst, source.url)
    source.add(1, 2, 3, 4, 5)
    register = _register(inst)
    first, second, third = windows(register, [], inst.settings.secret)
    known = [("S1", first.identity), ("S1", third.identity)]
    again = windows(register, known, inst.settings.secret)
    assert [w.identity for w in again] == [second.identity, third.identity]
    night(inst)
    assert loaded(inst) == 5


def test_a_number_as_watermark(inst: Installation, source: Source) -> None:
    declare(
        inst.settings.landing,
        query=QUERY.replace(", changed FROM", ", id FROM"),
        watermark="id",
        kind="number",
    )
    inst = with_url(inst, source.url)
    source.add(1, 2, 3)
    assert night(inst) == ["3"]
    source.add(12)
    assert night(inst) == ["12"]
    assert loaded(inst) == 4


def test_a_watermark_of_another_kind_is_refused(inst: Installation, source: Source) -> None:
    declare(
        inst.settings.landing, query="SELECT name FROM parcels", watermark="name", kind="number"
    )
    inst = with_url(inst, source.url)
    source.add(1)
    with pytest.raises(BadInput):
        night_or_problem(inst)


def night_or_problem(inst: Installation) -> None:
    planned = pipeline.plan(inst, BUSINESS_DATE)
    for shard in planned.shards:
        handoff = pipeline.ingest(inst, planned.head, shard)
        for problem in handoff.problems.values():
            raise BadInput(problem.key, **problem.params)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/none",
        f"sqlite:////nowhere/{PASSWORD}.db",
    ],
)
def test_a_database_that_does_not_answer_holds_up_nobody(
    inst: Installation,
    url: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    declare(inst.settings.landing)
    inst = with_url(inst, url)
    with pytest.raises(BadInput) as caught:
        night_or_problem(inst)
    assert caught.value.key == "ingest.database"
    seen = "".join(capfd.readouterr()) + caplog.text + str(caught.value) + repr(inst.settings)
    assert PASSWORD not in seen
    assert caught.value.__cause__ is None


def test_a_password_in_the_register_is_refused(inst: Installation) -> None:
    declare(inst.settings.landing, url=f"postgresql+psycopg://u:{PASSWORD}@h/d")
    with pytest.raises(PolicyError) as caught:
        windows(_register(inst), [], inst.settings.secret)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(_register(inst))


def test_without_a_url_it_says_which_variable(inst: Installation) -> None:
    declare(inst.settings.landing)
    with pytest.raises(PolicyError) as caught:
        windows(_register(inst), [], inst.settings.secret)
    assert caught.value.params["variable"] == "SAFEHANDS_SOURCE_POS"


def test_a_changed_query_is_read_from_the_beginning(tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    Source("", file.execute).add(1)
    file.close()
    database = Database(
        name="pos", query=QUERY, watermark="changed", url=f"sqlite:///{tmp_path / 'a.db'}"
    )
    changed = database.model_copy(update={"query": QUERY + " WHERE id > 0"})
    [first] = windows(_of(database), [], lambda _: "")
    known = [("S1", first.identity)]
    assert windows(_of(database), known, lambda _: "") == []
    assert len(windows(_of(changed), known, lambda _: "")) == 1


def _of(database: Database) -> Register:
    station = Station(code="S1", name="s", folder="s", databases=(database,))
    owner = Controller(code="o", name="o", record_sets={}, stations=(station,))
    return Register(controllers=(owner,))


def _register(inst: Installation) -> Register:
    return load_register(inst.settings.landing, tuple(inst.policy.datasets))
