"""The dashboards behind Airflow's login: closed unless somebody may see the page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from safehands.dashboards import PAGES, WHOLE, visible


class Nobody:
    """Stands for Airflow's auth manager: one that grants nothing."""

    def is_authorized_custom_view(self, **_: Any) -> bool:
        return False


class SimpleAuthManager:
    """Stands for Airflow's own: whoever is logged in may see any view."""

    def is_authorized_custom_view(self, **_: Any) -> bool:
        return True


class Granting:
    """Stands for a login system with permissions by name, as FAB keeps them."""

    def __init__(self, *granted: tuple[str, str]) -> None:
        self.granted = granted

    def is_authorized_custom_view(self, *, method: str, resource_name: str, user: Any) -> bool:
        return (method, resource_name) in self.granted


@pytest.fixture
def client(airflow: Any) -> TestClient:  # noqa: ARG001 - Airflow reads its settings first
    from safehands_airflow.pages import app

    return TestClient(app, follow_redirects=False)


@pytest.fixture
def login(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lets somebody sit in front of the pages, under a login system."""
    from airflow.api_fastapi.core_api.security import get_user

    from safehands_airflow import seat
    from safehands_airflow.pages import app

    def sit(manager: Any, role: str | None = None) -> None:
        somebody = SimpleNamespace(role=role, get_id=lambda: "somebody")
        monkeypatch.setattr(seat, "get_auth_manager", lambda: manager)
        monkeypatch.setitem(app.dependency_overrides, get_user, lambda: somebody)

    return sit


PATHS = ["/", *(f"/{name}" for name in WHOLE), "/quality/parcels.phone_odd"]


@pytest.mark.parametrize("path", PATHS)
def test_nobody_logged_in_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


def test_nobody_logged_in_may_verify(client: TestClient) -> None:
    same = {"sec-fetch-site": "same-origin"}
    assert client.post("/backups", headers=same).status_code == 401


@pytest.mark.parametrize("path", PATHS[1:])
def test_somebody_without_the_right_is_refused(client: TestClient, login: Any, path: str) -> None:
    login(Nobody(), "admin")
    assert client.get(path).status_code == 403


@pytest.mark.parametrize(
    ("role", "roles"),
    [
        ("viewer", {"auditor"}),
        ("user", {"operator"}),
        ("op", {"operator", "officer"}),
        ("admin", {"operator", "officer", "auditor"}),
        (None, set()),
    ],
)
def test_roles_of_airflows_own_login(
    client: TestClient, login: Any, role: str | None, roles: set[Any]
) -> None:
    from safehands_airflow.seat import _may

    login(SimpleAuthManager(), role)
    user = SimpleNamespace(role=role)
    may = {page.name for page in PAGES if _may(user, page.name, "GET")}
    assert may == set(visible(roles))


def test_other_logins_are_asked_for_the_view_by_name(client: TestClient, login: Any) -> None:
    from safehands_airflow.seat import _may

    login(Granting(("GET", "safehands.quality")))
    user = SimpleNamespace()
    assert [p.name for p in PAGES if _may(user, p.name, "GET")] == ["quality"]
    assert not _may(user, "backups", "POST")
    assert client.get("/backups").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://testserver"},
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
    ],
)
def test_a_form_from_elsewhere_is_refused(
    client: TestClient, login: Any, headers: dict[str, str]
) -> None:
    login(SimpleAuthManager(), "admin")
    assert client.post("/backups", headers=headers).status_code == 403
