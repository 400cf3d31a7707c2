"""``make up`` and ``make down``: ``python -m safehands_airflow.launcher up|down``.

Everything listens on 127.0.0.1 and nowhere else. ``up`` returns when all components are healthy
and leaves them running in the background.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from safehands import embedded
from safehands.errors import SafehandsError, SetupProblem
from safehands.installation import open_installation
from safehands.messages import say
from safehands.settings import Settings
from safehands_airflow import components, home
from safehands_airflow.api import Api, health

__all__ = ["down", "is_up", "main", "migrate", "prepare_airflow", "up"]

_HEALTHY_SECONDS = 180.0
_STOP_SECONDS = 60.0


def up(settings: Settings, environ: Mapping[str, str]) -> str:
    """Start Airflow, wait until it is healthy, and return what the user needs to know.

    Running already is no error. Raises ``SetupProblem`` when the port is taken, the database is
    not usable or a component does not come up; then nothing is left running but the database.
    """
    base = home.airflow_home(settings)
    running = components.read_running(base)
    if running is None:
        port = home.port(environ)
        _check_free(port)
        environment = home.prepare(settings, environ)
        prepare_airflow(settings, environment)
        components.start_keeper(base, environment, port)
    else:
        port = running["port"]
    _await_health(base, port)
    _await_dag(settings, port)
    return say(
        "airflow.up",
        settings.lang,
        address=f"http://{home.HOST}:{port}",
        password=home.password(settings),
        file=str(home.login_file(settings)),
    )


def prepare_airflow(settings: Settings, environment: Mapping[str, str]) -> None:
    """Bring both databases to the installed versions and the logins to policy.

    Raises ``SetupProblem`` or ``KeyProblem``.
    """
    base = home.airflow_home(settings)
    migrate(environment, base)
    _open_store(settings)
    if environment.get(home.AUTH_MANAGER) == home.FAB:
        _open_logins(environment, base)


def down(settings: Settings) -> str:
    """Stop Airflow and the embedded database. Not running is no error. Raises ``SetupProblem``."""
    base = home.airflow_home(settings)
    was_up = is_up(settings)
    if not components.stop_keeper(base, _STOP_SECONDS):
        folder = str(base / "logs")
        raise SetupProblem("airflow.still_running", seconds=int(_STOP_SECONDS), folder=folder)
    if not settings.database_url:
        embedded.stop(embedded.Place(settings.home))
    return say("airflow.down" if was_up else "airflow.was_down", settings.lang)


def is_up(settings: Settings) -> bool:
    """Say whether ``up`` has been here and ``down`` has not."""
    return components.read_running(home.airflow_home(settings)) is not None


def migrate(environment: Mapping[str, str], base: Path) -> None:
    """Bring Airflow's own database to the installed version; make its folders and pools.

    Raises ``SetupProblem`` when that fails; the log says why.
    """
    logs = base / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (logs / "migrate.log").open("ab") as log:
        command = [sys.executable, "-m", "safehands_airflow.prepare", "metadata"]
        done = subprocess.run(
            command, env=dict(environment), stdout=log, stderr=log, check=False, cwd=base
        )
    if done.returncode != 0:
        raise SetupProblem("airflow.not_migrated", folder=str(logs))


def _open_store(settings: Settings) -> None:
    """Migrate the store and check the keys now, and not in the first task of the night."""
    open_installation(settings, lambda: datetime.now(UTC)).close()


def _open_logins(environment: Mapping[str, str], base: Path) -> None:
    """Bring roles to policy and make this machine's account, in a process of its own.

    FAB reads its settings at the first import, and this process may have imported Airflow.
    """
    command = [sys.executable, "-m", "safehands_airflow.logins", "start"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, check=False)
    if done.returncode != 0:
        raise SetupProblem("airflow.logins_failed", folder=str(base / "logs"))


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((home.HOST, port))
        except OSError:
            raise SetupProblem("airflow.port_taken", port=port) from None


def _await_health(base: Path, port: int) -> None:
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while not health(port):
        if time.monotonic() > deadline or not components.held(base):
            components.stop_keeper(base, _STOP_SECONDS)
            logs, seconds = str(base / "logs"), int(_HEALTHY_SECONDS)
            raise SetupProblem("airflow.not_healthy", seconds=seconds, folder=logs)
        time.sleep(0.25)


def _await_dag(settings: Settings, port: int) -> None:
    """Wait until the DAG files were read, so that the night can be triggered at once."""
    api = Api(port, home.password(settings))
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while not api.get("/api/v2/dags?limit=1")["total_entries"]:
        if time.monotonic() > deadline:
            raise SetupProblem("airflow.broken_dag", file="dags/", kind="?")
        time.sleep(0.25)


def main(arguments: list[str] | None = None) -> int:
    """Run ``up`` or ``down`` and return the exit code."""
    parser = argparse.ArgumentParser(prog="safehands_airflow.launcher")
    parser.add_argument("command", choices=("up", "down"))
    command = parser.parse_args(arguments).command
    settings = Settings.read(os.environ)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if command == "up":
            console.print(say("airflow.starting", settings.lang), style="dim")
        text = up(settings, os.environ) if command == "up" else down(settings)
    except SafehandsError as error:
        Console(stderr=True, soft_wrap=True).print(f"✗ {error.say(settings.lang)}", style="red")
        return error.exit_code
    console.print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
