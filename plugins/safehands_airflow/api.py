"""A small client of the running Airflow's REST API, on this machine only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

from safehands.errors import SetupProblem
from safehands_airflow.home import HOST

__all__ = ["Api", "health"]

_SECONDS = 30.0


class Api:
    """One login. Raises ``SetupProblem`` when a request is refused or nobody answers."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self._token = ""
        body = {"username": "admin", "password": password}
        self._token = str(self.post("/auth/token", body)["access_token"])

    def get(self, path: str) -> Any:
        """Return the decoded answer."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the decoded answer."""
        return self._ask("POST", path, body)

    def trigger(self, dag: str, conf: Mapping[str, Any]) -> str:
        """Start a run with the form's values and return its id."""
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self.post(f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        status, answer = _exchange(self.port, method, path, body, self._token)
        if not 200 <= status < 300:
            raise SetupProblem("airflow.api_refused", status=status)
        return answer


def health(port: int) -> bool:
    """Say whether every component of the Airflow on ``port`` is well."""
    status, answer = _exchange(port, "GET", "/api/v2/monitor/health", None, "")
    if status != 200 or not isinstance(answer, dict):
        return False
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    return all(answer.get(part, {}).get("status") == "healthy" for part in parts)


def _exchange(
    port: int, method: str, path: str, body: Mapping[str, Any] | None, token: str
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    return answer.status, _decoded(text)


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
