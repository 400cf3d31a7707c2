"""The step as a whole: what it writes, once, and what is recorded of it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from safehands import journal
from safehands.errors import SetupProblem
from safehands.night import Night
from safehands.report import report
from safehands.report.retention import overdue, retained
from safehands.store import Store
from safehands.store.register import owners

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
CANARY = "13812345678"


def _files(night: Night) -> dict[str, bytes]:
    folder = night.settings.reports / night.business_date.isoformat()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _document(night: Night) -> dict[str, Any]:
    return dict(json.loads(_files(night)["report.json"]))


def _count(store: Store, query: str) -> int:
    with store.admin().begin() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_counts_and_places_of_a_night(night: Night, store: Store, filled: Any) -> None:
    outcome = report(night, store, NOW)
    assert dict(outcome.counts) == {
        "people": 7,
        "parcels": 8,
        "stations": 3,
        "k": 1,
        "needs_person": 3,
    }
    assert outcome.details["quality"] == [
        {"station": "S1", "score": 9991},
        {"station": "S2", "score": 10_000},
        {"station": "S3", "score": None},
    ]
    assert set(_files(night)) == {"report.html", "report.json"}
    assert Path(outcome.details["html"]).read_bytes() == _files(night)["report.html"]
    assert not outcome.already


def test_only_the_owner_of_the_machine_may_read_it(night: Night, store: Store, filled: Any) -> None:
    page = Path(report(night, store, NOW).details["html"])
    assert page.stat().st_mode & 0o077 == 0
    assert page.parent.stat().st_mode & 0o077 == 0


def test_the_same_evidence_writes_nothing(night: Night, store: Store, filled: Any) -> None:
    first, before = report(night, store, NOW), _files(night)
    entries = _count(store, "SELECT count(*) FROM ledger_entry")
    journal.sequence(store, NOW)
    again = report(night, store, NOW + timedelta(hours=3))
    assert again.already
    assert (again.counts, again.details) == (first.counts, first.details)
    assert _files(night) == before
    assert _count(store, "SELECT count(*) FROM ledger_entry") == entries
    assert _count(store, "SELECT count(*) FROM risk_assessment") == 2


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_lost_or_changed_file_comes_back_byte_for_byte(
    night: Night, store: Store, filled: Any, name: str
) -> None:
    report(night, store, NOW)
    before = _files(night)
    folder = night.settings.reports / "2026-11-23"
    (folder / name).write_bytes(b"edited")
    journal.sequence(store, NOW)
    report(night, store, NOW + timedelta(days=1))
    assert _files(night) == before
    (folder / name).unlink()
    report(night, store, NOW + timedelta(days=2))
    assert _files(night) == before


def test_new_evidence_is_a_new_report(night: Night, store: Store, filled: Any) -> None:
    report(night, store, NOW)
    filled.parcel("S1", 1, "2026-11-13 10:00")
    again = report(night, store, NOW + timedelta(hours=1))
    assert (again.already, again.counts["parcels"]) == (False, 9)
    assert _count(store, "SELECT count(*) FROM risk_assessment") == 4


def test_a_kill_after_the_files_leaves_no_trace_of_them(
    night: Night, store: Store, filled: Any
) -> None:
    folder = night.settings.reports / "2026-11-23"
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(b"of a killed try")
    assert not report(night, store, NOW).already
    digests = _entry(store)["facts"]["files"]
    for name, content in _files(night).items():
        assert digests[name.removeprefix("report.")] == hashlib.sha256(content).hexdigest()


def test_the_ledger_names_the_files_and_counts(night: Night, store: Store, filled: Any) -> None:
    outcome = report(night, store, NOW)
    entry = _entry(store)
    assert (entry["event"], entry["run"]) == ("report", night.run)
    assert entry["facts"]["counts"] == outcome.counts
    assert entry["facts"]["policy"] == night.policy.digest


def test_figures_of_each_owner_are_kept(night: Night, store: Store, filled: Any) -> None:
    report(night, store, NOW)
    query = "SELECT c.code, figures -> 'people' FROM risk_assessment r JOIN controller c"
    with store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(f"{query} ON c.id = r.controller_id ORDER BY 1")).all()
    assert [tuple(row) for row in rows] == [("antai", 0), ("lihua", 7)]


def test_nothing_of_a_person_is_in_the_files(night: Night, store: Store, filled: Any) -> None:
    # The canary is in sealed cells and in a sheet's name; ids and tokens are all UUIDs.
    report(night, store, NOW)
    for content in _files(night).values():
        shown = content.decode()
        assert CANARY not in shown
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-", shown)
        assert not re.search(r"0{8}4000", shown)
        assert "Li Hua" not in shown
    assert "day ***********" in _files(night)["report.html"].decode()


def test_row_numbers_stop_at_twenty(night: Night, store: Store, filled: Any) -> None:
    report(night, store, NOW)
    rule = _document(night)["rows_set_aside"][0]
    assert (rule["rule"], rule["rows"]) == ("parcels.phone_missing", 25)
    assert rule["places"][0]["shown"] == list(range(3, 23))
    page = _files(night)["report.html"].decode()
    assert "rows 3, 4, 5" in page
    assert "21, 22 …" in page
    assert "22, 23" not in page


def test_an_empty_store_gets_a_report_too(night: Night, store: Store) -> None:
    outcome = report(night, store, NOW)
    assert outcome.counts["k"] == 0
    assert [item["key"] for item in _document(night)["attention"]] == ["no_backup"]


def test_what_needs_a_person_is_listed_by_urgency(night: Night, store: Store, filled: Any) -> None:
    report(night, store, NOW)
    needs = [(item["key"], item["params"]) for item in _document(night)["attention"]]
    assert needs == [
        ("files_set_aside", {"count": 1}),
        ("rows_set_aside", {"count": 27, "files": 2}),
        ("roles_unknown", {"count": 1}),
    ]


def test_steps_are_added_up_over_shards(night: Night, store: Store, filled: Any) -> None:
    report(night, store, NOW)
    steps = {step["step"]: step for step in _document(night)["steps"]}
    assert steps["ingest"]["counts"] == {"in": 49, "out": 24, "quarantined": 25}
    assert (steps["ingest"]["seconds"], steps["ingest"]["shards"]) == (1.75, 2)
    assert "report" not in steps


def test_retention_shows_ages_and_what_is_overdue(night: Night, store: Store, filled: Any) -> None:
    filled.people("lihua", 50, seen="2025-11-01")
    filled.parcel("S1", 8, "2025-10-01 10:00", collected="2025-10-02 10:00")
    report(night, store, NOW)
    rules = {row["rule"]: row for row in _document(night)["retention"]}
    pickup = rules["pickup_record"]
    assert (pickup["held"], pickup["oldest"], pickup["overdue"], pickup["done"]) == (8, 417, 1, 3)
    assert (rules["never_collected"]["held"], rules["never_collected"]["oldest"]) == (1, 11)
    assert rules["person_without_parcels"]["overdue"] == 1
    assert rules["contact_detail"]["overdue"] == 1
    assert (rules["quarantine"]["held"], rules["quarantine"]["overdue"]) == (27, 0)
    _, held = retained(night, store)
    for code, owner in owners(store).items():
        assert overdue(night, store, owner) == sum(row["overdue"] for row in held[code])


def test_somebody_who_still_waits_for_a_parcel_is_not_overdue(
    night: Night, store: Store, fill: Any
) -> None:
    fill.owner("o", "O", "company", {"S1": "a"})
    fill.people("o", 1, 2, seen="2026-09-01")
    fill.parcel("S1", 1, "2026-09-01 10:00")
    fill.parcel("S1", 2, "2026-09-01 10:00", collected="2026-11-20 10:00")
    report(night, store, NOW)
    rules = {row["rule"]: row for row in _document(night)["retention"]}
    contact = rules["contact_detail"]
    assert (contact["held"], contact["oldest"], contact["overdue"]) == (2, 3, 0)
    assert overdue(night, store, owners(store)["o"]) == 0


def test_the_checkpoint_is_copied_into_the_report(night: Night, store: Store, filled: Any) -> None:
    with store.begin() as connection:
        journal.append(connection, "ingest", night.run, NOW, {"counts": {"in": 1}})
    note = journal.sequence(store, NOW)
    report(night, store, NOW)
    assert _document(night)["checkpoint"] == {"size": 1, "note": note}


def test_a_folder_that_cannot_be_used_is_said_without_a_trace(
    night: Night, store: Store, filled: Any
) -> None:
    night.settings.reports.parent.mkdir(parents=True, exist_ok=True)
    night.settings.reports.write_text("a file where the folder should be")
    with pytest.raises(SetupProblem) as caught:
        report(night, store, NOW)
    assert caught.value.key == "report.cannot_write"
    assert _count(store, "SELECT count(*) FROM effect") == 0


def _entry(store: Store) -> dict[str, Any]:
    with store.admin().begin() as connection:
        bodies = connection.execute(text("SELECT body FROM ledger_entry ORDER BY id")).scalars()
        return dict(json.loads(list(bodies)[-1]))
