"""``make up`` and ``make down``: the four real components, an API call, and nothing left over."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from rich.console import Console
from sqlalchemy import create_engine, text

from safehands import embedded
from safehands.errors import SetupProblem
from safehands.messages import say
from safehands.settings import Settings
from safehands_airflow import components, home, launcher
from safehands_airflow.api import Api, health
from safehands_airflow.remote import govern_remote
from sinks import MailSink

Land = Callable[..., Path]


@pytest.fixture
def apart() -> Iterator[Settings]:
    """An installation of its own; whatever runs in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sh-launcher-"))
    settings = Settings.read({}, home=str(folder / "home"), lang="en")
    yield settings
    components.stop_keeper(home.airflow_home(settings))
    embedded.remove(embedded.Place(settings.home))
    shutil.rmtree(folder)


def environment(port: int) -> dict[str, str]:
    prefixes = ("AIRFLOW", "SAFEHANDS_", "PG")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    return {**kept, "SAFEHANDS_PORT": str(port)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(settings: Settings) -> list[psutil.Process]:
    """Return the keeper and everything below it."""
    running = components.read_running(home.airflow_home(settings))
    assert running is not None
    keeper = psutil.Process(running["pid"])
    return [keeper, *keeper.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Return the addresses on which any of ``processes`` listens."""
    found = set()
    for process in processes:
        try:
            links = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found |= {(c.laddr.ip, c.laddr.port) for c in links if c.status == psutil.CONN_LISTEN}
    return found


def test_up_trigger_down(apart: Settings, land: Land) -> None:
    port = free_port()
    told = launcher.up(apart, environment(port))
    password = home.password(apart)
    assert f"http://127.0.0.1:{port}" in told
    assert password in told
    assert health(port)
    assert launcher.is_up(apart)
    running = processes_of(apart)
    assert len(running) >= 5
    assert listening(running) == {("127.0.0.1", port)}
    assert not any(password in " ".join(process.cmdline()) for process in running)
    with pytest.raises(SetupProblem, match="401"):
        Api(port, "not the password")

    conf = {"business_date": "2026-11-23", "landing": str(land("S1", rows=20))}
    quiet = Console(quiet=True)
    run, state, tasks = govern_remote("nightly_governance", apart, port, conf, quiet)
    assert state == "success", tasks
    assert {task.shard for task in tasks if task.step == "ingest"} == {"owner-1: station"}
    logs = home.airflow_home(apart) / "logs"
    written = [p for p in logs.rglob("*.log") if f"run_id={run}" in str(p)]
    assert {p.parent.name.split("=")[1] for p in written} >= {"plan", "purge", "verdict"}
    for path in logs.rglob("*.log"):
        assert "测试员" not in path.read_text(encoding="utf-8", errors="replace"), path

    check_pages(port, password)

    # The night's report is the Asset that the assessment is scheduled on.
    kind, state = assessment_after_the_night(port, password)
    assert (kind, state) == ("asset_triggered", "success")

    assert "has not ended after four hours" in told_of_a_late_night(apart, port, password)

    launcher.down(apart)
    assert not launcher.is_up(apart)
    assert alive(running) == []
    assert launcher.down(apart) == say("airflow.was_down", "en")


def told_of_a_late_night(settings: Settings, port: int, password: str) -> str:
    """Start a night, let its four hours be over at once, and return the mail that comes.

    Airflow's scheduler finds the missed deadline and its executor runs the callback.
    """
    metadata = home.prepare(settings, environment(port))["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    over = (
        "UPDATE deadline SET deadline_time = now() - interval '1 second' WHERE dagrun_id ="
        " (SELECT id FROM dag_run WHERE run_id = :run AND dag_id = 'nightly_governance')"
    )
    with MailSink() as sink:
        url = (
            f"mailto://127.0.0.1:{sink.port}?from=safehands@station.example"
            "&to=office@station.example&mode=insecure"
        )
        office = f"office: {{url: '{url}', lang: en, kinds: [night_late]}}"
        channels = f"version: 1\nchannels:\n  {office}\n"
        settings.channels.write_text(channels, encoding="utf-8")
        settings.channels.chmod(0o600)
        run = Api(port, password).trigger("nightly_governance", {"business_date": "2026-11-24"})
        engine = create_engine(metadata)
        with engine.begin() as connection:
            assert connection.execute(text(over), {"run": run}).rowcount == 1
        engine.dispose()
        deadline = time.monotonic() + 120
        while not sink.mails and time.monotonic() < deadline:
            time.sleep(0.5)
        [mail] = sink.mails
    body = mail.get_body(("plain", "html"))
    assert body is not None
    return str(body.get_content())


def check_pages(port: int, password: str) -> None:
    """The dashboards are mounted: closed without a login, whole pages with one, no script."""
    place = f"http://127.0.0.1:{port}/safehands"
    login = {"username": "admin", "password": password}
    token = httpx.post(f"http://127.0.0.1:{port}/auth/token", json=login).json()["access_token"]
    for page in ("overview", "quality", "backups"):
        assert httpx.get(f"{place}/{page}").status_code == 401
        for lang, mark in (("zh", '<html lang="zh'), ("en", '<html lang="en')):
            headers = {"Authorization": f"Bearer {token}"}
            found = httpx.get(f"{place}/{page}?lang={lang}", headers=headers)
            assert found.status_code == 200
            assert "default-src 'none'" in found.headers["content-security-policy"]
            assert mark in found.text
            assert "<script" not in found.text
            assert "测试员" not in found.text
            assert "1390000" not in found.text


def assessment_after_the_night(port: int, password: str) -> tuple[str, str]:
    """Wait for the run of ``risk_assessment`` and return how it was started and how it ended."""
    api, found = Api(port, password), None
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = api.get("/api/v2/dags/risk_assessment/dagRuns")["dag_runs"]
        found = runs[0] if runs else None
        if found and found["state"] in ("success", "failed"):
            break
        time.sleep(0.5)
    assert found, "no run of risk_assessment"
    return found["run_type"], found["state"]


def test_a_taken_port_is_named_before_anything_is_started(apart: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SetupProblem) as caught:
            launcher.up(apart, environment(port))
    assert (caught.value.key, caught.value.params) == ("airflow.port_taken", {"port": port})
    assert not apart.home.exists() or not any(apart.home.iterdir())


@pytest.mark.parametrize("port", ["http", "80", "65536", "-1"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(SetupProblem) as caught:
        home.port({"SAFEHANDS_PORT": port})
    assert caught.value.key == "airflow.bad_port"


def start_with_stand_ins(folder: Path) -> int:
    """Start a keeper whose components are programs that only sleep."""
    (folder / "logs").mkdir()
    program = folder / "airflow" / "__main__.py"
    program.parent.mkdir()
    program.write_text("import time\ntime.sleep(600)\n")
    paths = os.pathsep.join([str(folder), str(Path(components.__file__).parents[1])])
    return components.start_keeper(folder, {**environment(1), "PYTHONPATH": paths}, 1)


def test_a_dead_keeper_leaves_nothing_running(tmp_path: Path) -> None:
    """After ``kill -9`` of the keeper its children still count as running, and are ended."""
    keeper = start_with_stand_ins(tmp_path)
    with pytest.raises(BlockingIOError):
        components.start_keeper(tmp_path, environment(1), 1)
    children = _wait_for_children(keeper, len(components.COMPONENTS))
    process = psutil.Process(keeper)
    process.kill()
    process.wait()
    assert components.read_running(tmp_path) == {"pid": keeper, "port": 1}
    assert components.stop_keeper(tmp_path, seconds=4)
    assert components.read_running(tmp_path) is None
    assert alive(children) == []


def test_a_component_that_dies_is_started_again(tmp_path: Path) -> None:
    keeper = start_with_stand_ins(tmp_path)
    try:
        first = _wait_for_children(keeper, len(components.COMPONENTS))
        first[0].kill()
        deadline = time.monotonic() + 10
        while first[0].is_running() and time.monotonic() < deadline:
            time.sleep(0.1)
        again = _wait_for_children(keeper, len(components.COMPONENTS))
        assert {c.pid for c in again} - {c.pid for c in first}
    finally:
        assert components.stop_keeper(tmp_path, seconds=10)


def _wait_for_children(keeper: int, wanted: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    found: list[psutil.Process] = []
    while len(found) < wanted and time.monotonic() < deadline:
        time.sleep(0.1)
        found = alive(psutil.Process(keeper).children())
    assert len(found) == wanted
    return found


def test_python_of_the_components_is_this_one(apart: Settings) -> None:
    made: dict[str, Any] = home.prepare(apart, environment(28080))
    assert made["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
