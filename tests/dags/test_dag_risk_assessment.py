"""The DAG ``risk_assessment``, run by Airflow in this process on real databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runs import DAY, run_by_calendar, run_dag, states
from sqlalchemy import create_engine, text

from safehands.night import SHANGHAI

Land = Callable[..., Path]


def announced(airflow: Any, run: Any) -> Mapping[str, Any]:
    """What the run's Asset event says."""
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    query = text(
        "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id"
        " WHERE e.source_run_id = :run AND a.name = 'risk_assessment'"
    )
    with engine.connect() as connection:
        extra = connection.execute(query, {"run": run.run_id}).scalar_one()
    engine.dispose()
    return extra if isinstance(extra, Mapping) else json.loads(extra)


def test_it_assesses_exports_and_announces_counts_only(airflow: Any, land: Land) -> None:
    landing = str(land("A1", rows=12, first=6500))
    conf = {"business_date": DAY, "landing": landing}
    assert run_dag("nightly_governance", conf).state == "success"
    run = run_dag("risk_assessment", {"business_date": DAY, "full": True})
    assert states(run) == {"assess": "success", "export": "success"}
    told = announced(airflow, run)
    assert told
    assert all(isinstance(number, int) for number in told.values())
    assert told["owners"] >= 1


def test_the_calendar_starts_it_on_the_first_of_a_month_in_full(airflow: Any, land: Land) -> None:
    landing = str(land("A2", rows=12, first=6600))
    assert run_dag("nightly_governance", {"business_date": DAY, "landing": landing}).state == (
        "success"
    )
    by_hand = run_dag("risk_assessment", {"business_date": DAY})
    assert announced(airflow, by_hand)["full"] == 0
    run = run_by_calendar("risk_assessment")
    assert states(run) == {"assess": "success", "export": "success"}
    assert run.run_after.astimezone(SHANGHAI).strftime("%d %H:%M") == "01 06:00"
    told = announced(airflow, run)
    assert told["full"] == 1
    assert told["owners"] >= 1
