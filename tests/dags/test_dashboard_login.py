"""The dashboards behind Airflow's login: closed unless somebody may see the page."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient


class Manager:
    """Stands for Airflow's auth manager: one that grants nothing."""

    def is_authorized_custom_view(self, **_: Any) -> bool:
        return False


@pytest.fixture
def client(airflow: Any) -> TestClient:  # noqa: ARG001 - Airflow reads its settings first
    from safehands_airflow.pages import app

    return TestClient(app, follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/overview", "/quality", "/backups", "/nothing"])
def test_nobody_logged_in_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


def test_somebody_without_the_right_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.core_api.security import get_user

    from safehands_airflow import pages

    monkeypatch.setattr(pages, "get_auth_manager", Manager)
    monkeypatch.setitem(pages.app.dependency_overrides, get_user, lambda: object())
    assert client.get("/overview").status_code == 403
    assert client.get("/nothing").status_code == 404
