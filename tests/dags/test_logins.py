"""People who log in by role: what each may open, and that no password is kept."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from safehands import embedded
from safehands.errors import PolicyError
from safehands.settings import Settings
from safehands_airflow import home, launcher
from safehands_airflow.logins import load_logins, permissions_of

PASSWORD = "correct horse battery"
# Who may look at a DAG is told that there is none; who may not is refused.
MAY = 404
POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"


@dataclass(frozen=True)
class Shop:
    """A running Airflow in which people log in by role."""

    settings: Settings
    environment: Mapping[str, str]
    port: int

    def logins(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "safehands_airflow.logins", *words]
        given = {**self.environment, "SAFEHANDS_HOME": str(self.settings.home)}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def token(self, name: str, password: str) -> httpx.Response:
        body = {"username": name, "password": password}
        return httpx.post(f"http://127.0.0.1:{self.port}/auth/token", json=body, timeout=60)

    def status(self, name: str, path: str, method: str = "GET", **more: Any) -> int:
        given = self.token(name, PASSWORD).json()["access_token"]
        headers = {"Authorization": f"Bearer {given}"}
        place = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, place, headers=headers, timeout=60, **more).status_code

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        url = home.prepare(self.settings, self.environment)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        engine = create_engine(url)
        with engine.begin() as connection:
            found = connection.execute(text(query))
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    folder = Path(tempfile.mkdtemp(prefix="sh-logins-"))
    settings = Settings.read({}, home=str(folder / "home"), lang="en")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    prefixes = ("AIRFLOW", "SAFEHANDS_", "PG")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    more = {"SAFEHANDS_PORT": str(port), "SAFEHANDS_LOGINS": "roles", "SAFEHANDS_LANG": "en"}
    pages: subprocess.Popen[bytes] | None = None
    opened = Shop(settings, {**kept, **more}, port)
    try:
        # Logins need the web server alone; there are no DAGs in its database.
        given = home.prepare(settings, opened.environment)
        launcher.prepare_airflow(settings, given)
        pages = subprocess.Popen([sys.executable, "-m", "airflow", "api-server"], env=given)
        await_pages(port)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        for role in ("officer", "seller"):
            done = opened.logins("add", f"p.{role}", "--role", role, "--password-file", str(secret))
            assert (done.returncode, done.stdout) == (0, f"p.{role} may log in, as {role}.\n")
        yield opened
    finally:
        if pages is not None:
            pages.terminate()
            pages.wait()
        embedded.remove(embedded.Place(settings.home))
        shutil.rmtree(folder)


def await_pages(port: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/v2/version", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.25)
    raise TimeoutError("the web server did not come up")


def test_roles_open_what_policy_says_and_no_more(shop: Shop) -> None:
    trigger = {"json": {"logical_date": None, "conf": {}}}
    wanted = {
        ("p.officer", "/safehands/overview", "GET"): 200,
        ("p.officer", "/safehands/requests", "GET"): 200,
        ("p.officer", "/api/v2/dags/restore_drill", "GET"): MAY,
        ("p.officer", "/api/v2/dags/~/dagRuns/~/hitlDetails", "GET"): 200,
        ("p.officer", "/api/v2/variables", "GET"): 403,
        ("p.officer", "/api/v2/connections", "GET"): 403,
        ("p.officer", "/api/v2/config", "GET"): 403,
        ("p.seller", "/safehands/overview", "GET"): 403,
        ("p.seller", "/safehands/backups", "GET"): 403,
        ("p.seller", "/safehands/requests", "GET"): 403,
        ("p.seller", "/api/v2/dags/station_handover", "GET"): MAY,
        ("p.seller", "/api/v2/dags/nightly_governance", "GET"): 403,
        ("p.seller", "/api/v2/dags/~/dagRuns/~/hitlDetails", "GET"): 200,
        ("p.seller", "/api/v2/dags/station_handover/dagRuns", "POST"): 403,
    }
    found = {
        (who, path, method): shop.status(who, path, method, **(trigger if method == "POST" else {}))
        for who, path, method in wanted
    }
    assert found == wanted


def test_nobody_comes_in_without_a_password_and_none_is_kept(shop: Shop) -> None:
    assert (
        httpx.get(f"http://127.0.0.1:{shop.port}/safehands/overview", timeout=60).status_code == 401
    )
    assert shop.token("p.officer", "not the password").status_code == 401
    kept = shop.rows("SELECT username, password FROM ab_user")
    assert {str(name) for name, _ in kept} == {"admin", "p.officer", "p.seller"}
    for _, hashed in kept:
        assert str(hashed).startswith("scrypt:")
        assert PASSWORD not in str(hashed)
    for path in shop.settings.home.rglob("*.log"):
        assert PASSWORD not in path.read_text(encoding="utf-8", errors="replace"), path


def test_what_a_role_got_besides_is_taken_away(shop: Shop) -> None:
    shop.rows(
        "INSERT INTO ab_permission_view_role (id, permission_view_id, role_id)"
        " SELECT nextval('ab_permission_view_role_id_seq'), v.id, r.id"
        " FROM ab_role r, ab_permission_view v"
        " JOIN ab_permission p ON p.id = v.permission_id"
        " JOIN ab_view_menu m ON m.id = v.view_menu_id"
        " WHERE r.name = 'safehands_seller' AND p.name = 'can_read' AND m.name = 'Connections'"
    )
    done = shop.logins("sync")
    assert done.stdout == "The roles are as policy says (1 permissions changed).\n"
    assert shop.logins("list").stdout.splitlines() == [
        "admin: Admin",
        "p.officer: officer",
        "p.seller: seller",
    ]


@pytest.mark.parametrize("password", ["short", "p.auditor-and-more"])
def test_a_weak_password_is_refused(shop: Shop, tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    words = ("add", "p.auditor", "--role", "auditor", "--password-file")
    done = shop.logins(*words, str(tmp_path / "password"))
    assert done.returncode == 3
    assert "12 characters" in done.stderr
    assert password not in done.stderr


def test_policy_gives_nobody_connections_variables_or_settings() -> None:
    for name, role in load_logins(POLICY).roles.items():
        resources = {resource for _, resource in permissions_of(role)}
        assert not resources & {"Connections", "Variables", "Configurations", "Pools"}, name
        writes = {
            r for action, r in permissions_of(role) if action not in ("can_read", "menu_access")
        }
        if role.does == ("look",):
            assert writes <= {"My Password", "safehands.backups"}, name


def test_a_file_of_roles_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "logins.yaml").write_text("roles: {Boss: {does: everything}}")
    with pytest.raises(PolicyError) as caught:
        load_logins(tmp_path)
    assert caught.value.params == {"file": "logins.yaml"}
