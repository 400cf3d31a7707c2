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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from selling import TODAY, waits_for_approval
from sqlalchemy import create_engine, text

from safehands import embedded
from safehands.dashboards import PAGES
from safehands.errors import PolicyError
from safehands.handover.approvals import decisions
from safehands.handover.state import load
from safehands.installation import open_installation
from safehands.play.office import assess_for
from safehands.settings import Settings
from safehands_airflow import home, launcher
from safehands_airflow.logins import load_logins, permissions_of

PASSWORD = "correct horse battery"
# Who may look at a DAG is told that there is none; who may not is refused.
MAY = 404
HERE = Path(__file__).resolve().parent
POLICY = HERE.parents[1] / "include" / "policy"
ROLES = ("operator", "officer", "auditor", "seller", "buyer")
APPROVAL = "handover_approval"
APPROVE = {"chosen_options": ["批准 · Approve"], "params_input": {}}
# One process for all of them: each would import Airflow anew.
EACH = "import sys, safehands_airflow.logins as my; [my.main(one.split()) for one in sys.argv[1:]]"
RUN = "import sys, runs; conf = {'handover': sys.argv[1]}\n"
RUN += f"for _ in range(int(sys.argv[2])): runs.run_dag('{APPROVAL}', conf)"


@dataclass(frozen=True)
class Shop:
    """A running Airflow in which people log in by role."""

    settings: Settings
    environment: Mapping[str, str]
    port: int
    tokens: dict[str, str] = field(default_factory=dict)

    def logins(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "safehands_airflow.logins", *words]
        given = {**self.environment, "SAFEHANDS_HOME": str(self.settings.home)}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", *words]
        given = {**self.environment, "SAFEHANDS_HOME": str(self.settings.home)}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def token(self, name: str, password: str) -> httpx.Response:
        body = {"username": name, "password": password}
        return httpx.post(f"http://127.0.0.1:{self.port}/auth/token", json=body, timeout=60)

    def ask(self, name: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        if name not in self.tokens:
            self.tokens[name] = self.token(name, PASSWORD).json()["access_token"]
        headers = {"Authorization": f"Bearer {self.tokens[name]}", "Sec-Fetch-Site": "same-origin"}
        place = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, place, headers=headers, timeout=60, **more)

    def status(self, name: str, path: str, method: str = "GET", **more: Any) -> int:
        return self.ask(name, path, method, **more).status_code

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
        words = [f"add p.{role} --role {role} --password-file {secret}" for role in ROLES]
        done = opened.python(EACH, *words)
        wanted = [f"p.{role} may log in, as {role}." for role in ROLES]
        assert done.stdout.splitlines() == wanted, done.stderr
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


HITL = "/api/v2/dags/{}/dagRuns/r/taskInstances/t/-1/hitlDetails"
RUNS, CLEAR = "/api/v2/dags/{}/dagRuns", "/api/v2/dags/{}/clearTaskInstances"
BODIES = {
    RUNS: {"logical_date": None, "conf": {}},
    CLEAR: {"dry_run": False},
    HITL: APPROVE,
}
DETAILS = "/api/v2/dags/~/dagRuns/~/hitlDetails"


def may(shop: Shop, role: str, does: str, dag: str) -> bool:
    """Whether the role gets as far as being told that there is no such DAG or run."""
    method = "PATCH" if does is HITL else "POST"
    status = shop.status(f"p.{role}", does.format(dag), method, json=BODIES[does])
    assert status in (403, MAY)
    return status == MAY


def test_roles_do_what_policy_says_and_no_more(shop: Shop) -> None:
    """Start, repeat and answer, in a DAG that both parties see and in others."""
    dags = (APPROVAL, "station_handover", "subject_request", "nightly_governance")
    found = {
        role: {(does, dag) for does in BODIES for dag in dags if may(shop, role, does, dag)}
        for role in ROLES
    }
    starts = {(does, dag) for does in (RUNS, CLEAR) for dag in dags}
    party = {(HITL, APPROVAL)}
    assert found == {
        "operator": starts,
        "officer": starts | {(HITL, dag) for dag in dags},
        "auditor": set(),
        "seller": party,
        "buyer": party,
    }


def test_roles_open_the_pages_that_policy_says_and_no_more(shop: Shop) -> None:
    pages = {page.name for page in PAGES}
    found = {
        role: {name for name in pages if shop.status(f"p.{role}", f"/safehands/{name}") == 200}
        for role in ROLES
    }
    party, nights = {"handovers"}, {"overview", "quality", "backups", "handovers"}
    assert found == {
        "operator": nights,
        "officer": pages,
        "auditor": pages - {"requests"},
        "seller": party,
        "buyer": party,
    }
    verifies = {
        role for role in ROLES if shop.status(f"p.{role}", "/safehands/backups", "POST") == 200
    }
    assert verifies == {"officer", "auditor"}
    assert shop.status("p.operator", "/safehands/requests", "POST") == 403


def test_roles_read_what_policy_says_and_no_more(shop: Shop) -> None:
    for role in ROLES:
        who = f"p.{role}"
        for closed in ("variables", "connections", "config"):
            assert shop.status(who, f"/api/v2/{closed}") == 403, (role, closed)
        assert shop.status(who, DETAILS) == 200
        party = role in ("seller", "buyer")
        assert shop.status(who, "/api/v2/eventLogs") == (403 if party else 200)
        assert shop.status(who, "/api/v2/dags/nightly_governance") == (403 if party else MAY)
        # Whoever may answer in a DAG may pause it, to Airflow: docs/security.md says so.
        for dag, may_pause in (
            ("nightly_governance", {"operator", "officer"}),
            (APPROVAL, {*ROLES} - {"auditor"}),
        ):
            done = shop.status(who, f"/api/v2/dags/{dag}", "PATCH", json={"is_paused": False})
            assert (done != 403) == (role in may_pause), (role, dag)


@dataclass
class Deal:
    """A hand-over that waits for its two approvers, who log in as p.seller and p.buyer."""

    shop: Shop
    handover: UUID

    @contextmanager
    def asking(self, times: int) -> Iterator[None]:
        """Let the DAG ask both parties, one run after the other."""
        given = home.prepare(self.shop.settings, self.shop.environment)
        given = {**given, "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-c", RUN, str(self.handover), str(times)]
        with (self.shop.settings.home / "approval.log").open("wb") as log:
            runs = subprocess.Popen(command, env=given, stdout=log, stderr=log)
        try:
            yield
            assert runs.wait(120) == 0
        finally:
            runs.kill()
            runs.wait()

    def waiting(self, task: str) -> str:
        """Wait until ``task`` asks; return the address of its answer."""
        deadline = time.monotonic() + 180
        path = f"/api/v2/dags/{APPROVAL}/dagRuns/~/hitlDetails?response_received=false"
        while time.monotonic() < deadline:
            for one in self.shop.ask("p.officer", path).json().get("hitl_details", ()):
                ti = one["task_instance"]
                if (ti["task_id"], ti["state"]) == (task, "awaiting_input"):
                    # An answer within the second of asking would race with the parking task.
                    time.sleep(1)
                    run = f"/api/v2/dags/{APPROVAL}/dagRuns/{ti['dag_run_id']}"
                    return f"{run}/taskInstances/{task}/-1/hitlDetails"
            time.sleep(0.3)
        raise TimeoutError(task)

    def answer(self, where: str, who: str) -> int:
        return self.shop.status(who, where, "PATCH", json=APPROVE)

    def said(self) -> dict[str, tuple[str, str]]:
        with closing(open_installation(self.shop.settings, lambda: datetime.now(UTC))) as inst:
            found = decisions(inst, self.handover, TODAY)
        return {party: (one["decision"], one["by"]) for party, one in found.items()}

    def state(self) -> str:
        with (
            closing(open_installation(self.shop.settings, lambda: datetime.now(UTC))) as inst,
            inst.store.begin() as connection,
        ):
            return load(connection, self.handover).state


@pytest.fixture(scope="module")
def deal(shop: Shop) -> Deal:
    with closing(open_installation(shop.settings, lambda: datetime.now(UTC))) as inst:
        who = {"seller_approver": "p.seller", "buyer_approver": "p.buyer"}
        made = waits_for_approval(inst, **who)
        assess_for(inst, "selling", "handover", str(made), TODAY - timedelta(days=1))
    return Deal(shop, made)


def test_each_party_approves_under_its_own_login_and_for_nobody_else(deal: Deal) -> None:
    """To Airflow either party may answer in the DAG; the store takes the named one's alone."""
    with deal.asking(2):
        seller = deal.waiting("seller")
        assert [deal.answer(seller, f"p.{role}") for role in ("operator", "auditor")] == [403, 403]
        assert deal.answer(seller, "p.seller") == 200
        kept = deal.shop.ask("p.officer", seller).json()
        assert kept["responded_by_user"]["name"] == "p.seller"
        assert deal.answer(deal.waiting("buyer"), "p.seller") == 200
        # Asked again by the second run: the answer for the other party was not taken.
        buyer = deal.waiting("buyer")
        assert deal.said() == {"seller": ("approve", "p.seller")}
        assert deal.state() == "answered"
        assert deal.answer(buyer, "p.buyer") == 200
    assert deal.said() == {"seller": ("approve", "p.seller"), "buyer": ("approve", "p.buyer")}
    assert deal.state() == "approved"


def test_nobody_comes_in_without_a_password_and_none_is_kept(shop: Shop) -> None:
    assert (
        httpx.get(f"http://127.0.0.1:{shop.port}/safehands/overview", timeout=60).status_code == 401
    )
    assert shop.token("p.officer", "not the password").status_code == 401
    kept = shop.rows("SELECT username, password FROM ab_user")
    assert {str(name) for name, _ in kept} == {"admin", *(f"p.{role}" for role in ROLES)}
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
        *(f"p.{role}: {role}" for role in sorted(ROLES)),
    ]


@pytest.mark.parametrize("password", ["short", "p.auditor-2-and-more"])
def test_a_weak_password_is_refused(shop: Shop, tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    words = ("add", "p.auditor-2", "--role", "auditor", "--password-file")
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
        assert {*role.pages, *role.acts} <= {page.name for page in PAGES}, name


def test_a_file_of_roles_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "logins.yaml").write_text("roles: {Boss: {does: everything}}")
    with pytest.raises(PolicyError) as caught:
        load_logins(tmp_path)
    assert caught.value.params == {"file": "logins.yaml"}
