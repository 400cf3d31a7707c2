"""The address of the metrics: for whoever has the scraper's token, and closed otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from safehands.installation import open_installation

TOKEN = "a-token-of-a-scraper-of-this-test"


@pytest.fixture
def client(airflow: Any, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    from safehands_airflow import seat
    from safehands_airflow.pages import app

    open_installation(airflow.settings, lambda: datetime.now(UTC)).close()
    monkeypatch.setenv("SAFEHANDS_METRICS_TOKEN", TOKEN)
    seat.place.cache_clear()
    return TestClient(app, follow_redirects=False)


def test_the_token_opens_it(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "safehands_backup_generations" in answer.text


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_nothing_else_does(client: TestClient, given: str) -> None:
    assert client.get("/metrics", headers={"Authorization": given}).status_code == 401
    assert client.get("/metrics").status_code == 401


@pytest.mark.parametrize("token", ["", "too-short"])
def test_without_a_good_token_it_is_closed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SAFEHANDS_METRICS_TOKEN", token)
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/metrics", headers=headers).status_code == 401
