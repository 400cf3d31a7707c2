"""The services of ``docker-compose.yaml`` as processes of this machine, on loopback.

PostgreSQL and Redis are the machine's own packages (Redis stands for Valkey, which speaks the same
protocol), moto's server stands for SeaweedFS. All ports are free ones, all data is in one folder.
"""

from __future__ import annotations

import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from composed import PROJECT, Native, Service, native

from safehands.errors import SetupProblem
from safehands_airflow.api import Api, health

__all__ = ["Stack", "await_true", "missing"]

_UP_SECONDS = 480.0
_PATIENCE = 20.0


def missing() -> list[str]:
    """Return which of the needed programs this machine does not have."""
    wanted = {"postgresql": _postgres(), "redis-server": shutil.which("redis-server")}
    wanted["openssl"] = shutil.which("openssl")
    return [name for name, found in wanted.items() if not found]


def await_true(seconds: float, what: str, true: Callable[[], Any]) -> Any:
    """Return the first true answer; ``AssertionError`` when there is none in ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return answer


class Stack:
    """Everything that runs. ``variables`` are what compose would read from ``.env``."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.variables = dict(variables or {})
        self.ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.where = self._prepared()

    # Starting

    def start(self) -> None:
        """Start databases, broker and object store, prepare them, then start Airflow."""
        for name, user in (("store", "postgres"), ("metadata", "airflow")):
            self._start_postgres(name, user)
        broker = _redis(native("broker", self.where).command, self.ports["broker"])
        self._start("broker", broker, {})
        self._start("objects", self._moto(), {})
        for name, port in self.ports.items():
            if name in ("store", "metadata", "broker", "objects"):
                await_true(30, f"{name} listens", lambda port=port: _listens(port))
        self._store_roles()
        for name in ("control-init", "vault-init"):
            self.once(name)
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.run(name)
        await_true(_UP_SECONDS, "Airflow is healthy", lambda: health(self.ports["api-server"]))

    def run(self, name: str, number: int = 0) -> psutil.Process:
        """Start a service (again); ``number`` tells several of one service apart."""
        label = f"{name}-{number}" if number else name
        service = self.service(name, label)
        command = _program(service.command)
        if name == "worker":
            # In containers each worker has a host name of its own.
            command = [*command, "--celery-hostname", label]
            service.environment["SAFEHANDS_TEST_WORKER"] = label
        return self._start(label, command, service.environment)

    def once(self, name: str) -> None:
        """Run a service that ends, and demand that it ends well."""
        service = self.service(name, name)
        with (self.folder / f"{name}.log").open("ab") as log:
            done = subprocess.run(
                _program(service.command),
                env=self._environment(service.environment),
                stdout=log,
                stderr=log,
                check=False,
                timeout=_UP_SECONDS,
            )
        assert done.returncode == 0, (self.folder / f"{name}.log").read_text()[-2000:]

    def service(self, name: str, label: str) -> Service:
        """Return the compose file's service, with an AIRFLOW_HOME of its own."""
        home = self.folder / "homes" / label
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        folders = {**self.where.folders, "/opt/airflow": home}
        made = native(name, replace(self.where, folders=folders))
        if "AIRFLOW__API__PORT" in made.environment:
            made.environment["AIRFLOW__API__PORT"] = str(self.ports["api-server"])
            made.environment["AIRFLOW__API__HOST"] = "127.0.0.1"
        return made

    def environ(self, name: str) -> dict[str, str]:
        """Return the whole environment of a service, for a program that does as it would."""
        return self._environment(self.service(name, name).environment)

    # Asking

    def api(self) -> Api:
        """Return a client with a fresh login."""
        login = json.loads((self.folder / "secrets" / "login").read_text())
        return Api(self.ports["api-server"], login["admin"])

    def await_dag(self, dag: str) -> None:
        """Wait until the DAG processor has read ``dag``; a busy machine takes minutes for it."""

        def known() -> bool:
            with suppress(SetupProblem):
                return bool(self.api().get(f"/api/v2/dags/{dag}")["dag_id"])
            return False

        await_true(_UP_SECONDS, f"the DAG {dag} is known", known)

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page, asked for by the logged-in ``admin``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["api-server"], timeout=60)
        try:
            connection.request(
                "GET", path, headers={"Authorization": f"Bearer {self.api()._token}"}
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8")
        finally:
            connection.close()

    def log(self, label: str) -> str:
        """Return the end of a service's output."""
        text = (self.folder / f"{label}.log").read_text(encoding="utf-8", errors="replace")
        return text[-6000:]

    def worker_of(self, pid: int) -> str:
        """Return which worker's process tree a task's process is in; empty: of none."""
        with suppress(psutil.Error):
            family = {pid, *(p.pid for p in psutil.Process(pid).parents())}
            for label, process in self.running.items():
                if label.startswith("worker") and process.pid in family:
                    return label
        return ""

    # Ending

    def kill(self, label: str) -> None:
        """``kill -9`` a service with everything that it started."""
        process = self.running.pop(label)
        family = [psutil.Process(process.pid)]
        with suppress(psutil.Error):
            family += family[0].children(recursive=True)
        for member in family:
            with suppress(psutil.Error):
                member.kill()
        process.wait()

    def close(self) -> None:
        """End everything that was started; the databases last."""
        last = [n for n in ("objects", "broker", "metadata", "store") if n in self.running]
        for label in [n for n in self.running if n not in last]:
            self.kill(label)
        for label in last:
            process = self.running.pop(label)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # Inside

    def _prepared(self) -> Native:
        """Let ``docker/prepare.sh`` make secrets and folders; put our ports into them."""
        command = ["sh", str(PROJECT / "docker" / "prepare.sh"), str(self.folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        secrets = self.folder / "secrets"
        if os.getuid() == 0:
            for path in self.folder.rglob("*"):
                os.chown(path, 0, 0)
        names = {"metadata": 5432, "store": 5432, "broker": 6379, "objects": 8333}
        addresses = {f"{n}:{p}": f"127.0.0.1:{self.ports[n]}" for n, p in names.items()}
        addresses["api-server:28080"] = f"127.0.0.1:{self.ports['api-server']}"
        addresses["127.0.0.1:28080"] = f"127.0.0.1:{self.ports['api-server']}"
        for path in (secrets / "broker_url", self.folder / "policy" / "backup.yaml"):
            text = path.read_text(encoding="utf-8")
            for there, here in addresses.items():
                text = text.replace(there, here)
            path.write_text(text, encoding="utf-8")
        folders = {"/run/secrets": secrets, "/opt/safehands": PROJECT}
        data, policy = self.folder / "data", self.folder / "policy"
        # In a container these folders are mounted inside of the home folder.
        for name in ("evidence", "notices"):
            (data / "home" / name).symlink_to(data / name)
        return Native(addresses, folders, data, policy, self.variables)

    def _start(
        self, label: str, command: list[str], environment: Mapping[str, str], **kwargs: Any
    ) -> psutil.Process:
        with (self.folder / f"{label}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **kwargs,
            )
        self.running[label] = process
        return psutil.Process(process.pid)

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Nothing of this process's but what every container has too."""
        scripts = str(Path(sys.executable).parent)
        path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
        return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(self.folder), **own}

    def _start_postgres(self, name: str, user: str) -> None:
        data = self.folder / f"postgres-{name}"
        data.mkdir(mode=0o700)
        password = data.with_suffix(".password")
        password.write_text((self.folder / "secrets" / f"{name}_password").read_text())
        service = native(name, self.where)
        arguments = service.environment["POSTGRES_INITDB_ARGS"].split()
        binaries = Path(_postgres())
        as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            # PostgreSQL refuses root; the machine's package brings a user for it.
            shutil.chown(data, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
            self.folder.chmod(0o711)
            as_user = {"user": "postgres", "group": "postgres"}
        initdb = [str(binaries / "initdb"), "--pgdata", str(data), "--username", user]
        initdb += ["--pwfile", str(password), "--encoding", "UTF8", *arguments, "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=60, **as_user)
        here = ["-D", str(data), "-p", str(self.ports[name]), "-k", str(data)]
        here += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self._start(name, [str(binaries / "postgres"), *service.command[1:], *here], {}, **as_user)

    def _store_roles(self) -> None:
        """Do what the image does with ``docker-entrypoint-initdb.d`` and ``POSTGRES_DB``."""
        secrets = self.folder / "secrets"
        roles = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["store"]),
            "PGPASSWORD": (secrets / "store_password").read_text(),
            "SAFEHANDS_ADMIN_PASSWORD_FILE": str(secrets / "store_admin_password"),
        }
        script = ["sh", str(PROJECT / "docker" / "store-roles.sh")]
        subprocess.run(script, check=True, env=self._environment(roles), timeout=60)
        own = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["metadata"]),
            "PGPASSWORD": (secrets / "metadata_password").read_text(),
        }
        create = ["psql", "-qX", "-U", "airflow", "-d", "postgres", "-c", "CREATE DATABASE airflow"]
        subprocess.run(create, check=True, env=self._environment(own), timeout=60)

    def _moto(self) -> list[str]:
        secrets = self.folder / "secrets"
        command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1"]
        command += ["-p", str(self.ports["objects"]), "--ssl"]
        return [
            *command,
            "--ssl-cert",
            str(secrets / "objects_cert"),
            "--ssl-key",
            str(secrets / "objects_key"),
        ]


_PORTS = ("store", "metadata", "broker", "objects", "api-server")


def _postgres() -> str:
    """Return the folder of the newest served PostgreSQL's programs; empty: there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    newest = max(found, key=lambda path: int(path.split("/")[4]), default="")
    return os.path.dirname(newest)


def _redis(command: tuple[str, ...], port: int) -> list[str]:
    assert command[0] == "valkey-server"
    return ["redis-server", *command[1:], "--bind", "127.0.0.1", "--port", str(port)]


def _program(command: tuple[str, ...]) -> list[str]:
    return [sys.executable, *(["-m"] if command[0] != "python" else []), *_rest(command)]


def _rest(command: tuple[str, ...]) -> tuple[str, ...]:
    return command[1:] if command[0] == "python" else command


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
