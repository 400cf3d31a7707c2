"""Running a DAG in this process, and a landing folder for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

DAY, NAME = "2026-11-23", "测试员"
PHONE, OTHER = "13900008100", "13900008101"
"""Two people of the station R1, which the fixture ``inst`` has loaded."""


def run_dag(name: str, conf: dict[str, Any]) -> Any:
    """Run the DAG once, without waiting between tries."""
    from safehands_airflow.local import load_dag

    dag = load_dag(name)
    for task in dag.tasks:
        task.retry_delay = timedelta(milliseconds=50)
    return dag.test(run_conf=conf)


def states(run: Any) -> dict[str, str]:
    """Each task's state."""
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


def result(run: Any, task: str) -> Any:
    """What a task returned."""
    [found] = [one for one in run.get_task_instances() if one.task_id == task]
    return found.xcom_pull(task_ids=task)


def landing(folder: Path, station: str, phones: Iterable[str], first: int) -> Path:
    """Write one station's export with a parcel for each number; return the landing folder."""
    (folder / station).mkdir(parents=True)
    lines = ["运单号,快递公司,收件人,收件人手机号,收件地址,取件码,货架号,状态,入库时间,取件时间"]
    lines += [
        f"SF{first + number:013d},顺丰,{NAME},{phone},广东省深圳市南山区测试路1号,1-2,"
        "A-01,已取件,2026-11-20 10:00:00,2026-11-20 18:00:00"
        for number, phone in enumerate(phones)
    ]
    (folder / station / "parcels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def metadata(airflow: Any) -> str:
    """What runs leave in Airflow's own database, as text."""
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    parts: list[str] = []
    tables = ("dag_run", "task_instance", "xcom", "hitl_detail", "log")
    with engine.connect() as connection:
        for table in (*tables, "rendered_task_instance_fields"):
            parts += connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
    engine.dispose()
    return "\n".join(parts)


def run_by_calendar(name: str) -> Any:
    """Make the run that the DAG's own calendar plans next, as the scheduler does, and run it."""
    from airflow.models.dagrun import DagRun
    from airflow.sdk.definitions.dag import _run_task
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    from safehands_airflow.local import load_dag

    dag = load_dag(name)
    planned = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    anytime = TimeRestriction(earliest=None, latest=None, catchup=False)
    when = planned.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=anytime
    )
    moment = {"logical_date": when.logical_date, "run_after": when.run_after}
    kind = DagRunType.SCHEDULED
    with create_session() as session:
        made = planned.create_dagrun(
            run_id=DagRun.generate_run_id(run_type=kind, **moment),
            data_interval=when.data_interval,
            run_type=kind,
            triggered_by=DagRunTriggeredByType.TIMETABLE,
            state=DagRunState.RUNNING,
            session=session,
            **moment,
        )
        session.commit()
        while made.state == DagRunState.RUNNING:
            session.expire_all()
            ready, _ = made.update_state(session=session)
            for task in ready:
                task.try_number += 1
                session.commit()
                _run_task(ti=task, task=dag.task_dict[task.task_id])
        session.expunge_all()
    return made
