"""Somebody who answers Airflow's human-in-the-loop tasks while ``dag.test()`` runs.

An answer goes through Airflow's own REST API. When it is refused, or nobody is asked within the
limit, the waiting task is failed, so that a test ends instead of waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from time import monotonic
from typing import Any

from sqlalchemy import create_engine, text

# An answer within the second of asking would race with the parking task.
_PAUSE = 3.0
_LIMIT = 90.0
_LOOK = 0.3

NOBODY: dict[str, Any] = {"nobody": True}
"""In place of an answer: the time runs out, as Airflow's scheduler sees it."""


class Answers:
    """What was answered and asked.

    ``given``: (task, HTTP status) of every answer; ``asked``: what people were shown; ``waited``:
    how long those had who did not answer.
    """

    def __init__(self, dag: str, answers: dict[str, list[dict[str, Any]]], user: str) -> None:
        self.dag, self.answers, self.user = dag, answers, user
        self.given: list[tuple[str, int]] = []
        self.asked: list[dict[str, Any]] = []
        self.others: dict[str, Any] = {}
        self.waited: list[timedelta] = []

    def follow(self, over: Event) -> None:
        client, seen, begun = _client(self.user), {}, monotonic()
        self.others = {
            one["as"]: _client(one["as"])
            for given in self.answers.values()
            for one in given
            if "as" in one
        }
        path = f"/api/v2/dags/{self.dag}/dagRuns/~/hitlDetails?response_received=false"
        while not over.wait(_LOOK):
            if monotonic() - begun > _LIMIT:
                _fail(self.dag)
            for detail in client.get(path).json()["hitl_details"]:
                ti = detail["task_instance"]
                since = seen.setdefault(ti["id"], monotonic())
                if ti["state"] != "awaiting_input" or monotonic() - since < _PAUSE:
                    continue
                self._answer(client, detail)

    def _answer(self, client: Any, detail: dict[str, Any]) -> None:
        ti = detail["task_instance"]
        self.asked.append(detail)
        waiting = self.answers.get(ti["task_id"]) or []
        if not waiting:
            _fail(self.dag)
            return
        place = f"/api/v2/dags/{self.dag}/dagRuns/{ti['dag_run_id']}/taskInstances"
        where = f"{place}/{ti['task_id']}/{ti['map_index']}/hitlDetails"
        given = dict(waiting.pop(0))
        if given == NOBODY:
            self.waited.append(_time_out(ti["id"]))
            return
        client = self.others.get(given.pop("as", ""), client)
        done = client.patch(where, json=given)
        self.given.append((ti["task_id"], done.status_code))
        if done.status_code != 200:
            _fail(self.dag)


@contextmanager
def answering(dag: str, user: str = "admin", **answers: Any) -> Iterator[Answers]:
    """Answer the tasks named: each one answer, or a list of them, in turn.

    An answer is ``{"chosen_options": [...], "params_input": {...}}``; every param of the form has
    to be in it. With ``as`` it is that user's, and not ``user``'s.
    """
    listed = {k: list(v) if isinstance(v, list) else [v] for k, v in answers.items()}
    somebody, over = Answers(dag, listed, user), Event()
    thread = Thread(target=somebody.follow, args=(over,), daemon=True)
    thread.start()
    try:
        yield somebody
    finally:
        over.set()
        thread.join()


def _client(user: str) -> Any:
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role="admin"))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


def _time_out(task_instance: str) -> timedelta:
    """Put a task's deadline into the past, let the scheduler look; return how long it had."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        had = connection.execute(text(_DEADLINE), {"id": task_instance}).scalar_one()
        connection.execute(text(_PAST), {"id": task_instance})
    engine.dispose()
    SchedulerJobRunner(job=Job()).check_awaiting_input_timeouts()
    return timedelta(seconds=float(had))


def _fail(dag: str) -> None:
    engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE task_instance SET state = 'failed'"
                " WHERE dag_id = :dag AND state = 'awaiting_input'"
            ),
            {"dag": dag},
        )
    engine.dispose()


_DEADLINE = "SELECT extract(epoch FROM trigger_timeout - now()) FROM task_instance WHERE id = :id"
_PAST = "UPDATE task_instance SET trigger_timeout = now() - interval '1 second' WHERE id = :id"
