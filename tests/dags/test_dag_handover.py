"""The DAGs of a hand-over, from the form to the reconciliation, run by Airflow in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from answering import NOBODY, answering
from runs import metadata, result, run_dag, states
from selling import CLOSING, PHONES, PROOF, TODAY, form, furnish, lay_out
from sqlalchemy import text

from safehands.handover.approvals import decisions
from safehands.handover.pages import folder_of
from safehands.handover.state import load
from safehands.installation import Installation, open_installation
from safehands.keys import age
from safehands.play.office import assess_for
from safehands.store.register import owners
from safehands.transfer.papers import bring

APPROVE, REFUSE, WITHDRAW, LATER = (
    "批准 · Approve",
    "拒绝 · Refuse",
    "撤回先前的批准 · Withdraw",
    "暂不答复 · Not now",
)


@pytest.fixture(scope="module")
def inst(airflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A seller with six people, and everything that the gate asks of the office."""
    folder = lay_out(tmp_path_factory.mktemp("deal"))
    conf = {"business_date": TODAY.isoformat(), "landing": str(folder)}
    assert run_dag("nightly_governance", conf).state == "success"
    made = open_installation(airflow.settings, lambda: datetime.now(UTC))
    furnish(made, folder, airflow.settings.home / "papers")
    yield made
    made.close()


def answer(chosen: str, who: str) -> dict[str, Any]:
    return {"chosen_options": [chosen], "params_input": {}, "as": who}


def state(inst: Installation, this: UUID) -> str:
    with inst.store.begin() as connection:
        return load(connection, this).state


def said(inst: Installation, this: UUID) -> dict[str, tuple[str, str]]:
    found = decisions(inst, this, TODAY)
    return {party: (one["decision"], one["by"]) for party, one in found.items()}


def approval(this: UUID, **answers: Any) -> Any:
    with answering("handover_approval", **answers) as somebody:
        run = run_dag("handover_approval", {"handover": str(this)})
    return run, somebody


@pytest.fixture(scope="module")
def told(inst: Installation) -> UUID:
    """A hand-over that ``station_handover`` planned and told people of."""
    key = age.make_identity(inst.provider, "transfer-identity/buying")
    run = run_dag("station_handover", form(buyer_key=key, closing_evidence=PROOF))
    assert states(run) == {"plan": "success", "notify": "success"}
    planned = result(run, "plan")
    assert planned["mode"] == "statutory_succession"
    assert planned["classes"] == {"transferred": len(PHONES)}
    return UUID(planned["handover"])


def test_a_rehearsal_opens_nothing(inst: Installation) -> None:
    run = run_dag("station_handover", form(effective_on="2031-01-31", dry_run=True))
    assert states(run) == {"plan": "success", "notify": "success"}
    assert result(run, "notify") == {"handover": result(run, "plan")["handover"], "rehearsal": True}
    with inst.store.begin() as connection:
        known = connection.execute(text("SELECT handover_id FROM handover")).scalars()
        assert UUID(result(run, "plan")["handover"]) not in set(known)


def test_tick_ends_the_window_and_asks_once_a_week(inst: Installation, told: UUID) -> None:
    day = {"business_date": (TODAY + timedelta(days=1)).isoformat()}
    run = run_dag("tick", day)
    assert states(run)["advance"] == states(run)["due"] == "success"
    assert state(inst, told) == "answered"
    mine = [one for one in result(run, "due") if one["conf"] == {"handover": str(told)}]
    assert len(mine) == 1
    assert started(mine[0]["trigger_run_id"]) == 1
    run_dag("tick", day)
    assert started(mine[0]["trigger_run_id"]) == 1


def started(name: str) -> int:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        return int(session.query(DagRun).filter(DagRun.run_id == name).count())


def test_no_transfer_before_the_approval(inst: Installation, told: UUID) -> None:
    run = run_dag("handover_transfer", {"handover": str(told), "becomes": ["H1=H2"]})
    assert states(run)["shards"] == "failed"
    assert run.state == "failed"
    assert state(inst, told) == "answered"


def test_no_answer_within_six_days_is_no_answer(inst: Installation, told: UUID) -> None:
    run, somebody = approval(told, seller=NOBODY, buyer=NOBODY)
    assert all(timedelta(days=5) < time < timedelta(days=6) for time in somebody.waited)
    assert len(somebody.waited) == 2
    found = states(run)
    assert (found["seller"], found["buyer"]) == ("skipped", "skipped")
    assert said(inst, told) == {}
    assert state(inst, told) == "answered"
    assert result(run, "conclude")["approved"] is False


def test_only_the_named_people_approve_and_no_rule_is_approved_away(
    airflow: Any, inst: Installation, told: UUID
) -> None:
    run, _ = approval(told, seller=answer(APPROVE, "somebody"), buyer=answer(LATER, "chen.fang"))
    assert states(run)["seller"] == "failed"
    assert said(inst, told) == {}
    run, _ = approval(told, seller=answer(REFUSE, "wang.li"), buyer=answer(APPROVE, "chen.fang"))
    assert said(inst, told) == {
        "seller": ("refuse", "wang.li"),
        "buyer": ("approve", "chen.fang"),
    }
    assert result(run, "conclude")["approved"] is False
    # Both say yes, and yet the impact assessment is missing.
    run, somebody = approval(told, seller=answer(APPROVE, "wang.li"))
    assert states(run)["buyer"] == "skipped"
    assert states(run)["conclude"] == "failed"
    assert state(inst, told) == "answered"
    assert f"| {len(PHONES)} |" in somebody.asked[0]["body"]
    assert "PIA-01" in somebody.asked[0]["body"]
    assert not any(phone in metadata(airflow) for phone in PHONES)

    assert "NOT-02" in somebody.asked[0]["body"]
    assess_for(inst, "selling", "handover", str(told), TODAY - timedelta(days=1))
    seller = owners(inst.store)["selling"]
    bring(inst.store, seller, told, "poster_hung", PROOF, TODAY, "wang.li", inst.clock())
    run, _ = approval(told)
    assert states(run)["conclude"] == "success"
    assert result(run, "conclude")["approved"] is True
    assert state(inst, told) == "approved"


def test_an_approval_that_is_taken_back_stops_the_package(inst: Installation, told: UUID) -> None:
    from safehands.errors import HandoverRefused
    from safehands.handover.approvals import check_standing, decide

    assert state(inst, told) == "approved"
    decide(inst, told, "buyer", "withdraw", "chen.fang", TODAY, inst.clock())
    with inst.store.begin() as connection, pytest.raises(HandoverRefused, match="buyer"):
        check_standing(connection, told)
    run, _ = approval(told, buyer=answer(APPROVE, "chen.fang"))
    assert states(run)["seller"] == "skipped"
    with inst.store.begin() as connection:
        check_standing(connection, told)


def transfer(this: UUID, **changes: Any) -> Any:
    conf = {"handover": str(this), "becomes": ["H1=H2"], "shard_parcels": 1_000}
    conf |= {"business_date": CLOSING.isoformat(), **changes}
    return run_dag("handover_transfer", conf)


def test_a_transfer_asks_for_all_it_needs_before_it_opens_a_record(
    airflow: Any, inst: Installation, told: UUID
) -> None:
    # On the day itself the stations are missing; before it, nothing is opened at all.
    for lacking in ({"becomes": []}, {"business_date": TODAY.isoformat()}):
        run = transfer(told, **lacking)
        found = states(run)
        assert (found["shards"], found["close"]) == ("failed", "success")
        assert run.state == "failed"
    assert state(inst, told) == "approved"
    assert inst.provider.names("run/handover") == []


def test_a_transfer_packages_receives_and_reconciles(
    airflow: Any, inst: Installation, told: UUID
) -> None:
    run = transfer(told)
    assert set(states(run).values()) == {"success"}, states(run)
    made = result(run, "package")
    assert made["shards_used"] == 1
    assert made["counts"]["person"] == made["counts"]["parcel"] == len(PHONES)
    received = result(run, "receive")["received"]
    assert sum(received["person"].values()) == len(PHONES)
    assert set(result(run, "reconcile")["gone"].values()) == {0}
    assert state(inst, told) == "reconciled"
    folder = folder_of(inst, told)
    assert (folder / "package.age").read_bytes().startswith(b"age-encryption.org/v1\n")
    assert (folder / "receipt.json").is_file()
    # Nothing of the shards is left, and nobody's number is in Airflow's database.
    assert inst.provider.names("run/handover") == []
    assert not (inst.settings.work / f"handover-{told}").exists()
    assert not any(phone in metadata(airflow) for phone in PHONES)


def test_a_second_transfer_changes_nothing(inst: Installation, told: UUID) -> None:
    with inst.store.begin() as connection:
        before = connection.execute(text("SELECT count(*) FROM ledger_entry")).scalar()
    run = transfer(told)
    found = states(run)
    assert found.pop("rekey") == "skipped"
    assert set(found.values()) == {"success"}
    with inst.store.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM ledger_entry")).scalar() == before
    assert state(inst, told) == "reconciled"
