"""The DAG ``incident_response``, run by Airflow here; a thread answers as the decider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from answering import answering
from runs import DAY, NAME, landing, metadata, result, run_dag, states

from safehands.incidents import Case, cases
from safehands.installation import Installation, open_installation
from safehands.sharing.plan import stopped
from safehands.store.register import owners
from safehands.vault.access import OFFICER
from safehands_airflow.board import notices_of

PHONES = [f"139000082{n:02d}" for n in range(6)]
STOP = "停止一切对外提供 · stop all disclosures"
ROTATE = "轮换数据密钥 · rotate the data key"
RESTORE = "从已核验的备份恢复 · restore from a proved backup"
FORM = {
    "drill": False,
    "owner": "owner",
    "kind": "leak",
    "discovered": "2026-11-23T08:30",
    "finder": "zhao.min",
    "by": "wang.li",
    "began": "2026-11-20T00:00",
    "ended": "2026-11-21T00:00",
    "systems": ["station software"],
    "parcels": True,
}
EVERYTHING = {"open", "assess", "draft", "propose", "approve", "contain"}


@pytest.fixture(scope="module")
def inst(airflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A store with six people, each with a parcel of 20 November."""
    folder = landing(tmp_path_factory.mktemp("leak"), "I1", PHONES, 820000)
    conf = {"business_date": DAY, "landing": str(folder)}
    assert run_dag("nightly_governance", conf).state == "success"
    made = open_installation(airflow.settings, lambda: datetime.now(UTC))
    yield made
    made.close()


def opened(inst: Installation) -> list[Case]:
    with inst.store.begin(OFFICER, owners(inst.store)["owner"].id) as connection:
        return cases(connection)


def answer(*chosen: str, reference: str | None = None) -> dict[str, Any]:
    return {"chosen_options": list(chosen), "params_input": {"reference": reference}}


def test_from_the_form_to_drafts_and_approved_containment(
    airflow: Any, inst: Installation, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering("incident_response", approve=answer(STOP, ROTATE, RESTORE)) as somebody:
        run = run_dag("incident_response", FORM)
    assert somebody.given == [("approve", 200)]
    assert states(run) == {**dict.fromkeys(EVERYTHING, "success"), "drill": "skipped"}
    [case] = [one for one in opened(inst) if not one.drill]
    kinds = [e.kind for e in case.events if e.kind != "done"]
    assert (kinds[0], set(kinds[1:])) == ("assessed", {"kept", "drafted", "proposed"})
    assert case.last("assessed").facts["people"] >= len(PHONES)  # type: ignore[union-attr]
    # The program stops disclosures and rotates the key itself; a restore waits for people.
    done = [e for e in case.events if e.kind == "done"]
    assert [(e.name, e.facts["approver"]) for e in done] == [
        *(("stop_disclosures", "admin"), ("rotate_keys", "admin")),
    ]
    assert done[1].facts["records"] >= len(PHONES)
    assert result(run, "contain")["to_do"] == ["restore"]
    with inst.store.begin(OFFICER, owners(inst.store)["owner"].id) as connection:
        assert stopped(connection)
    folder = airflow.settings.home / "incidents" / "owner" / f"{case.number:04d}"
    assert (folder / "send.sms.csv.age").exists()
    printed = capfd.readouterr()
    shown = printed.out + printed.err + metadata(airflow)
    for value in (*PHONES, NAME, json.dumps(NAME)[1:-1]):
        assert value not in shown

    # The same form again is the same incident, and what was done is not done twice.
    with answering("incident_response", approve=answer(STOP, ROTATE, RESTORE, reference="T-7")):
        again = run_dag("incident_response", FORM)
    assert result(again, "open")["incident"] == case.number
    [case] = [one for one in opened(inst) if not one.drill]
    assert [e.name for e in case.events if e.kind == "done"] == [
        *("stop_disclosures", "rotate_keys", "restore"),
    ]


def test_who_handles_it_cannot_approve(airflow: Any, inst: Installation) -> None:
    form = {**FORM, "by": "admin", "kind": "misuse"}
    with answering("incident_response", approve=answer(STOP)):
        run = run_dag("incident_response", form)
    assert states(run)["contain"] == "failed"
    [case] = [one for one in opened(inst) if one.kind == "misuse"]
    assert case.first("done") is None
    [notice] = notices_of(airflow.settings, run.run_id)
    assert (notice["step"], notice["exit_code"]) == ("contain", 45)


def test_a_form_that_lacks_something_says_what(airflow: Any, inst: Installation) -> None:
    run = run_dag("incident_response", {**FORM, "began": "yesterday", "kind": "loss"})
    assert states(run)["open"] == "failed"
    assert not [one for one in opened(inst) if one.kind == "loss"]
    [notice] = notices_of(airflow.settings, run.run_id)
    assert "began" in notice["en"]


def test_the_default_is_a_drill_in_time_that_touches_nobody(inst: Installation) -> None:
    before = len(opened(inst))
    run = run_dag("incident_response", {})
    done = states(run)
    assert done.pop("drill") == "success"
    assert set(done.values()) == {"skipped"}
    told = result(run, "drill")
    assert "owner" in told
    for one in told.values():
        assert one["passed"]
        assert 0 < one["milliseconds_to_drafts"] < 120_000
    assert len(opened(inst)) == before


def test_the_daily_tick_counts_what_somebody_should_look_at(inst: Installation) -> None:
    run = run_dag("tick", {})
    assert states(run)["watch"] == "success"
    told = result(run, "watch")["owner"]
    # Nobody filled the contact book of this installation yet.
    assert told["plan.contacts_open"] == 6
    # Whether the drafts above were made at an unusual hour depends on when the tests run.
    assert set(told) == {
        *("plan.contacts_open", "requests.complaints_overdue", "sharing.agreements_ending"),
        "access.unusual",
    }
