"""A night of many owners: lots of their shards, and never more than sixty tasks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from runs import DAY, run_dag
from sqlalchemy import text

from many_owners import many_owners
from safehands.lots import MOST, Dropped, Lot
from safehands.settings import Settings

OWNERS = MOST + 2


def test_more_owners_than_tasks_are_all_loaded(airflow: Any, tmp_path: Path) -> None:
    codes = many_owners(tmp_path / "landing", OWNERS)
    conf = {"business_date": DAY, "landing": str(tmp_path / "landing")}
    run = run_dag("nightly_governance", conf)
    assert run.state == "success"
    tasks = run.get_task_instances()
    counts = Counter(task.task_id for task in tasks)
    assert len(tasks) <= 60
    assert counts["shard.ingest"] == counts["shard.pseudonymise"] == MOST
    assert _parcels(airflow.settings, codes) == dict.fromkeys(codes, 2)
    labels = [str(task.rendered_map_index) for task in tasks if task.task_id == "shard.ingest"]
    assert sum(label.startswith("lot-") for label in labels) == OWNERS - MOST


def test_a_lot_fails_at_its_end_for_the_one_that_dropped_out(airflow: Any) -> None:
    from safehands_airflow.operators import _left_out

    gone = Dropped("owner0001-1: M0001", 32, "transfer.frozen", {"station": "M0001", "files": 1})
    lot = Lot("lot-01", (), (gone,)).as_dict()
    assert _left_out("ingest", lot) is None
    assert str(_left_out("pseudonymise", lot)) == str(gone.problem())
    assert _left_out("pseudonymise", Lot("lot-01", ()).as_dict()) is None
    assert _left_out("pseudonymise", {"run": "x"}) is None
    assert _left_out("purge", {"run": "x"}) is None


def _parcels(settings: Settings, codes: list[str]) -> dict[str, int]:
    from datetime import UTC, datetime

    from safehands.installation import open_installation

    inst = open_installation(settings, lambda: datetime.now(UTC))
    try:
        with inst.store.begin("safehands_backup") as connection:
            rows = connection.execute(text(_COUNT), {"codes": codes}).all()
    finally:
        inst.close()
    return {row[0]: row[1] for row in rows}


_COUNT = (
    "SELECT s.code, count(*) FROM parcel p JOIN station s ON s.id = p.station_id"
    " WHERE s.code = ANY(:codes) GROUP BY s.code"
)
