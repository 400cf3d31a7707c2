"""The DAG ``disclosure``, run by Airflow in this process; a thread answers as the decider."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyrage
import pytest
import yaml
from answering import answering
from runs import DAY, NAME, landing, metadata, result, run_dag, states

from safehands.installation import Installation, open_installation
from safehands.sharing import Line, disclosures
from safehands.store.register import owners
from safehands.vault.access import OFFICER
from shareable import THREATS, shareable

PHONES = [f"139000083{n:02d}" for n in range(8)]
WORDS = {"zh": "约定", "en": "agreed"}
GIVE, STOP = "提供 · Give", "不提供 · Do not give"
FORM = {"agreement": "station-x", "owner": "owner", "by": "wang.li", "business_date": DAY}


@pytest.fixture(scope="module")
def key() -> Any:
    return pyrage.x25519.Identity.generate()


@pytest.fixture(scope="module")
def inst(
    airflow: Any, key: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A store with eight people, and a policy folder with one agreement in force."""
    policy = tmp_path_factory.mktemp("share") / "policy"
    shutil.copytree(airflow.settings.policy, policy)
    terms = {
        "owners": ["owner"],
        "recipient": {"zh": "某平台", "en": "a platform"},
        "role": "processor",
        "dataset": "parcels",
        "model": "controlled",
        "purposes": ["operations"],
        "fields": ["ref", "district", "arrived_week", "status"],
        "from": "2026-01-01",
        "until": "2026-12-31",
        "method": WORDS,
        "measures": WORDS,
        "duties": WORDS,
        "region": "CN",
        "storage": ["CN"],
        "contact": "privacy@example.com",
        "age": str(key.to_public()),
        "format": "csv",
        "file_digest": "ab" * 32,
        "approver": "li.ming",
        "approved_on": "2025-12-20",
        "threats": THREATS,
    }
    made = {"version": 1, "agreements": {"station-x": terms}}
    (policy / "agreements.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")
    folder = landing(tmp_path_factory.mktemp("given"), "X1", PHONES, 830000)
    patch = pytest.MonkeyPatch()
    patch.setenv("SAFEHANDS_POLICY", str(policy))
    assert run_dag("nightly_governance", {"business_date": DAY, "landing": str(folder)}).state == (
        "success"
    )
    installation = open_installation(airflow.settings, lambda: datetime.now(UTC))
    shareable(installation, "owner", date.fromisoformat(DAY), "station-x")
    yield installation
    installation.close()
    patch.undo()


def register(inst: Installation) -> list[Line]:
    with inst.store.begin(OFFICER, owners(inst.store)["owner"].id) as connection:
        return disclosures(connection)


def answer(chosen: str) -> dict[str, Any]:
    return {"chosen_options": [chosen], "params_input": {}}


def test_a_rehearsal_counts_and_gives_nothing(airflow: Any, inst: Installation) -> None:
    run = run_dag("disclosure", FORM)
    assert states(run) == {"plan": "success", "agree": "skipped", "give": "skipped"}
    assert result(run, "plan")["people"] >= len(PHONES)
    assert register(inst) == []
    assert not (airflow.settings.home / "shares").exists()


def test_what_a_second_person_agreed_to_is_given_once(
    airflow: Any, inst: Installation, key: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering("disclosure", agree=answer(GIVE)) as somebody:
        run = run_dag("disclosure", {**FORM, "dry_run": False, "reason": "contract"})
    assert somebody.given == [("agree", 200)]
    assert states(run) == {"plan": "success", "agree": "success", "give": "success"}
    [line] = register(inst)
    assert line.people == result(run, "give")["people"] >= len(PHONES)
    [file] = (airflow.settings.home / "shares").glob("*.age")
    clear = pyrage.decrypt(file.read_bytes(), [key]).decode("utf-8-sig")
    assert len(clear.splitlines()) == line.rows + 1
    printed = capfd.readouterr()
    shown = clear + printed.out + printed.err + metadata(airflow)
    for value in (*PHONES, NAME, json.dumps(NAME)[1:-1]):
        assert value not in shown
    # What the decider was shown are the counts of the plan.
    assert f"| people | {line.people} |" in somebody.asked[0]["body"]

    # A task that is done again after its run was cut off gives nothing a second time.
    give_again(run, inst)
    assert register(inst) == [line]


def give_again(run: Any, inst: Installation) -> None:
    from safehands_airflow.disclosing import DiscloseOperator

    params = {**run.conf, "purpose": None, "since": None, "until": None}
    context: Any = {"params": params, "run_id": run.run_id, "dag_run": run}
    again = DiscloseOperator(task_id="give_again", work="give").execute(context)
    assert again == result(run, "give")


@pytest.mark.parametrize(
    ("user", "chosen", "by", "ended"),
    [
        ("admin", STOP, "wang.li", "skipped"),
        ("somebody", GIVE, "wang.li", "failed"),
        ("admin", GIVE, "admin", "failed"),
    ],
    ids=["said no", "no decider", "the same person"],
)
def test_without_a_second_person_s_yes_nothing_is_given(
    inst: Installation, user: str, chosen: str, by: str, ended: str
) -> None:
    before = register(inst)
    form = {**FORM, "by": by, "dry_run": False, "reason": "contract"}
    with answering("disclosure", user=user, agree=answer(chosen)):
        run = run_dag("disclosure", form)
    assert states(run)["agree"] == ended
    assert register(inst) == before


def test_nobody_is_asked_while_the_gate_is_closed(inst: Installation) -> None:
    with inst.store.admin().begin() as connection:
        connection.exec_driver_sql("UPDATE control_evidence SET withdrawn = true")
    try:
        run = run_dag("disclosure", {**FORM, "dry_run": False, "reason": "contract"})
    finally:
        with inst.store.admin().begin() as connection:
            connection.exec_driver_sql("UPDATE control_evidence SET withdrawn = false")
    assert states(run) == {"plan": "failed", "agree": "upstream_failed", "give": "upstream_failed"}


def test_no_agreement_in_force_no_plan(inst: Installation) -> None:
    run = run_dag("disclosure", {**FORM, "agreement": "nobody"})
    assert states(run) == {"plan": "failed", "agree": "upstream_failed", "give": "upstream_failed"}
