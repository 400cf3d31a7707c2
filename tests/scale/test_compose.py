"""``docker-compose.yaml`` says nothing that is not so: checked against the compose specification,
Airflow's own settings and commands, and the promises of docs/deployment.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from composed import PROJECT, compose
from jsonschema import validators

from safehands.configuration import COMPOSE
from safehands.settings import SECRETS, VARIABLES
from safehands_airflow.home import LOGIN_FILE

SCHEMA = Path(__file__).parent / "schemas" / "compose-spec.json"
FILE = compose()
SERVICES: dict[str, Any] = FILE["services"]
OURS = {name for name, service in SERVICES.items() if "build" in service}


def problems(file: Any) -> list[str]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = validators.validator_for(schema)(schema).iter_errors(file)
    return [f"{list(error.absolute_path)}: {error.message}" for error in found]


def test_the_file_keeps_to_the_compose_specification() -> None:
    assert problems(FILE) == []
    broken = compose()
    broken["services"]["worker"]["netwroks"] = ["vault"]
    assert problems(broken)


def airflow_commands() -> list[list[str]]:
    commands = [s["command"] for s in SERVICES.values() if "command" in s]
    commands += [s["healthcheck"]["test"][1:] for s in SERVICES.values() if "healthcheck" in s]
    return [command[1:] for command in commands if command[0] == "airflow"]


def test_every_setting_and_command_is_one_that_airflow_knows(
    ask_airflow: Callable[[list[list[str]]], dict[str, dict[str, bool]]],
) -> None:
    assert len(airflow_commands()) >= 8
    known = ask_airflow(airflow_commands())
    names = {n for s in SERVICES.values() for n in s.get("environment", {})}
    settings = [n for n in names if n.startswith("AIRFLOW__")]
    assert len(settings) > 20
    for name in settings:
        _, section, option = name.lower().split("__")
        plain = option.removesuffix("_cmd")
        assert plain in known[section], name
        # Airflow takes an option from a command only where it is a secret.
        assert known[section][plain] or plain == option, name


def test_a_task_may_wait_for_a_worker_all_night() -> None:
    """A message not taken within a minute is sent again; by default three times is the end."""
    scheduler = SERVICES["scheduler"]["environment"]
    seconds = int(scheduler["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"])
    tries = int(scheduler["AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES"])
    assert seconds * tries >= 12 * 3600


def test_every_variable_of_ours_is_one_that_settings_know() -> None:
    names = {n for s in SERVICES.values() for n in s.get("environment", {})}
    ours = {n for n in names if n.startswith("SAFEHANDS_")}
    assert ours
    assert ours <= VARIABLES.keys() | SECRETS.keys() | {LOGIN_FILE}


def test_the_reference_has_every_variable_of_the_file_and_its_default() -> None:
    named: dict[str, set[str]] = {}
    for word in re.findall(r"\$\{(\w+:-(?:[^{}]|\$\{[^{}]*\})*)\}", text_of("docker-compose.yaml")):
        for inner in (word, *re.findall(r"\$\{(\w+:-[^{}]*)\}", word)):
            name, default = inner.split(":-", 1)
            named.setdefault(name, set()).add(default)
    assert named == {name: {default} for name, (default, _) in COMPOSE.items()}
    script = text_of("docker/prepare.sh")
    asked = set(re.findall(r"\$\{(SAFEHANDS_\w+):-", script))
    assert asked == set(list(COMPOSE)[:4])


def text_of(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def test_every_module_that_is_run_exists() -> None:
    modules = {s["command"][2] for s in SERVICES.values() if s.get("command", [""])[0] == "python"}
    assert modules == {"safehands_airflow.prepare"}
    modules.add(SERVICES["api-server"]["healthcheck"]["test"][3])
    for module in modules:
        assert importlib.util.find_spec(module), module


def test_nobody_is_root_and_nothing_can_be_changed() -> None:
    for name, service in SERVICES.items():
        assert service["user"].split(":")[0] not in ("0", "root", ""), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert "privileged" not in service, name


def test_whatever_lasts_has_a_health_check() -> None:
    lasting = {name for name, service in SERVICES.items() if service["restart"] != "no"}
    assert lasting == SERVICES.keys() - {"control-init", "vault-init"}
    assert all("healthcheck" in SERVICES[name] for name in lasting)


def test_only_this_machine_can_reach_a_port() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_vault_is_apart_from_the_pages() -> None:
    on = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert FILE["networks"]["vault"]["internal"]
    assert FILE["networks"]["control"]["internal"]
    assert FILE["networks"]["evidence"]["internal"]
    assert {n for n, nets in on.items() if "evidence" in nets} == {"store", "api-server"}
    assert {n for n, nets in on.items() if "vault" in nets} == {
        *("store", "objects", "vault-init", "worker"),
    }
    assert not any({"vault", "ui"} <= nets for nets in on.values())


def test_each_side_has_its_own_secrets() -> None:
    given = {name: set(service.get("secrets", ())) for name, service in SERVICES.items()}
    vault = {"store_pgpass", "objects_credentials"}
    control = {"metadata_pgpass", "fernet_key", "jwt_secret", "api_secret", "login"}
    for name in OURS:
        assert not (given[name] & vault and given[name] & control), name
    keys = {
        name
        for name, service in SERVICES.items()
        if any("/keys" in volume for volume in service.get("volumes", ()))
    }
    assert keys == {"worker", "vault-init"}
    assert set().union(*given.values()) == FILE["secrets"].keys()


def test_no_secret_stands_in_the_file() -> None:
    text = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"://[^/\s@]*:[^/\s@$]+@", text)
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET|TOKEN|BROKER_URL|BACKEND", name):
                assert "/run/secrets/" in str(value), name
    assert all(s.keys() == {"file"} for s in FILE["secrets"].values())
    ignored = (PROJECT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"docker/secrets/", "docker/data/", ".env"} <= set(ignored)


def test_the_image_takes_only_what_is_named() -> None:
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    recipe = (PROJECT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", recipe, re.MULTILINE)
    assert set(" ".join(copied).split()) == set(let_in)
    assert all((PROJECT / name).exists() for name in let_in)
    assert re.search(r"^USER \$\{UID\}", recipe, re.MULTILINE)


def test_accesses_are_kept_where_the_daily_task_looks_after_them() -> None:
    service = SERVICES["api-server"]
    assert service["entrypoint"] == ["/keep-log", "api-server"]
    recipe = (PROJECT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "COPY docker/keep-log /keep-log" in recipe
    # The folder is one volume for all services: a worker runs the task that cuts and removes.
    folder = service["environment"]["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]
    [here] = [v for v in service["volumes"] if v.endswith(f":{folder}")]
    assert here in SERVICES["worker"]["volumes"]


def keep_log(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    script = [str(PROJECT / "docker" / "keep-log"), "api-server", *command]
    environment = {"PATH": "/usr/bin:/bin", "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder)}
    return subprocess.run(
        script, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_a_service_says_is_printed_and_kept(tmp_path: Path) -> None:
    done = keep_log(tmp_path, "sh", "-c", "echo GET; echo trouble >&2; exit 3")
    again = keep_log(tmp_path, "echo", "later")
    assert (done.returncode, again.returncode) == (3, 0)
    assert sorted(done.stdout.split()) == ["GET", "trouble"]
    kept = tmp_path / "api-server.log"
    assert sorted(kept.read_text(encoding="utf-8").split()) == ["GET", "later", "trouble"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_service_whose_accesses_cannot_be_kept_does_not_start(tmp_path: Path) -> None:
    done = keep_log(tmp_path / "none", "sh", "-c", "echo started")
    assert done.returncode
    assert "started" not in done.stdout


def sources(file: Any) -> set[str]:
    """What the file's services mount from this machine."""
    return {
        volume.split(":")[0] for s in file["services"].values() for volume in s.get("volumes", ())
    }


def prepared(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the project's ``prepare.sh`` from elsewhere, with nothing else in the environment."""
    return subprocess.run(
        ["sh", str(project / "docker" / "prepare.sh")],
        env={"PATH": os.environ["PATH"], **variables},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_prepare_makes_whatever_is_mounted_wherever_it_lies(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "other disk" / "data"
    for name in ("prepare.sh", "store-roles.sh"):
        (project / "docker").mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "docker" / name, project / "docker" / name)
    shutil.copytree(PROJECT / "include" / "policy", project / "include" / "policy")
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    chosen = {"SAFEHANDS_DATA": str(elsewhere), "SAFEHANDS_KEYS_SECOND": "./third"}
    assert prepared(project, TMPDIR=str(drafts), **chosen).returncode == 0
    assert list(drafts.iterdir()) == []
    # What docker compose reads afterwards, in a shell that knows nothing of the choice.
    dotenv = (project / ".env").read_text(encoding="utf-8")
    variables = dict(line.split("=", 1) for line in dotenv.splitlines())
    assert variables["SAFEHANDS_KEYS_SECOND"] == str(project / "third")
    mounted = [project / source for source in sources(compose(variables))]
    assert len(mounted) > 8
    assert all(source.exists() for source in mounted)
    owner = int(variables["SAFEHANDS_UID"])
    for folder in (elsewhere / "keys", project / "third"):
        assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (owner, 0o700)
    # Run again without the choice, it finds it; with another one it says so and stops.
    assert prepared(project).returncode == 0
    moved = prepared(project, SAFEHANDS_DATA=str(tmp_path / "moved"))
    assert moved.returncode == 1
    assert ".env" in moved.stderr
    assert (project / ".env").read_text(encoding="utf-8") == dotenv
    assert not (project / "docker" / "data").exists()


def test_the_second_place_of_the_keys_follows_the_data_and_the_address_the_port() -> None:
    moved = compose({"SAFEHANDS_DATA": "/disk", "SAFEHANDS_PORT": "28099"})
    assert not any(source.startswith("./docker/data") for source in sources(moved))
    assert "/disk/keys-second" in sources(moved)
    server = moved["services"]["api-server"]
    assert server["ports"] == ["127.0.0.1:28099:28080"]
    assert server["environment"]["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:28099"
    behind = compose({"SAFEHANDS_BASE_URL": "https://safehands.example.cn"})
    address = behind["services"]["api-server"]["environment"]["AIRFLOW__API__BASE_URL"]
    assert address == "https://safehands.example.cn"


def test_prepare_makes_each_secret_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    script = ["sh", str(PROJECT / "docker" / "prepare.sh"), str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert made.keys() == FILE["secrets"].keys()
    assert all(made.values())
    for path in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "objects:8333" in (tmp_path / "policy" / "backup.yaml").read_text(encoding="utf-8")
    subprocess.run(script, check=True, capture_output=True)
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
