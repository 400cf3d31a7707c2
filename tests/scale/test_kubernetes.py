"""The values for Airflow's Helm chart name settings that exist, and hold no secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from composed import PROJECT, compose

from safehands.settings import SECRETS, VARIABLES

FOLDER = PROJECT / "deploy" / "kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))


def test_every_setting_is_one_that_airflow_knows(
    ask_airflow: Callable[[list[list[str]]], dict[str, dict[str, bool]]],
) -> None:
    known = ask_airflow([])
    for section, options in VALUES["config"].items():
        for option, value in options.items():
            assert option in known[section], f"{section}.{option}"
            assert not known[section][option], f"{section}.{option} is a secret"
            assert isinstance(value, str)


def test_the_settings_that_make_recovery_quick_are_those_of_compose() -> None:
    scheduler = compose()["services"]["scheduler"]["environment"]
    worker = compose()["services"]["worker"]["environment"]
    for section in ("scheduler", "celery_broker_transport_options"):
        for option, value in VALUES["config"][section].items():
            name = f"AIRFLOW__{section}__{option}".upper()
            assert {**worker, **scheduler}[name] == value, name


def test_workers_get_what_they_need_and_no_secret_in_clear() -> None:
    given = {item["name"]: item for item in VALUES["workers"]["env"]}
    ours = {name for name in given if name.startswith("SAFEHANDS_")}
    assert ours <= VARIABLES.keys() | SECRETS.keys()
    assert all("value" not in given[name] for name in ours & SECRETS.keys())
    compared = compose()["services"]["worker"]["environment"]
    folders = {"SAFEHANDS_KEYS", "SAFEHANDS_KEYS_SECOND"}
    tuned = {"SAFEHANDS_LANG", "SAFEHANDS_SHARD_MEGABYTES"}
    wanted = {name for name in compared if name.startswith("SAFEHANDS_")} - folders - tuned
    assert wanted <= ours
    mounts = {m["name"] for m in VALUES["workers"]["extraVolumeMounts"]}
    assert mounts == {v["name"] for v in VALUES["workers"]["extraVolumes"]}


def test_no_password_stands_in_any_file() -> None:
    for path in sorted(Path(FOLDER).iterdir()):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "password:" not in line.casefold(), f"{path.name}: {line}"


def test_everything_runs_as_somebody_who_is_not_root() -> None:
    pod = VALUES["securityContexts"]["pod"]
    assert pod["runAsNonRoot"]
    assert pod["runAsUser"] != 0
    assert VALUES["securityContexts"]["container"]["capabilities"] == {"drop": ["ALL"]}
    for name in ("workers", "scheduler", "apiServer", "dagProcessor", "triggerer"):
        assert {"cpu", "memory"} <= VALUES[name]["resources"]["limits"].keys(), name


def test_people_log_in_by_role_and_no_known_password_opens_anything() -> None:
    assert VALUES["webserver"]["defaultUser"] == {"enabled": False}
    assert VALUES["apiServer"]["defaultUser"] == {"enabled": False}
    given = {item["name"]: item["value"] for item in VALUES["env"]}
    compared = compose()["services"]["api-server"]["environment"]
    for name in ("AIRFLOW__CORE__AUTH_MANAGER", *(n for n in compared if "__FAB__" in n)):
        assert given[name] == compared[name], name
    job = VALUES["migrateDatabaseJob"]
    [mount] = job["extraVolumeMounts"]
    assert given["SAFEHANDS_LOGIN_FILE"].startswith(mount["mountPath"])
    assert mount["readOnly"]


def test_the_pages_see_evidence_and_hold_no_key() -> None:
    given = {item["name"]: item.get("value", "") for item in VALUES["apiServer"]["env"]}
    assert given["SAFEHANDS_EVIDENCE_URL"].startswith("postgresql+psycopg://safehands_auditor@")
    assert not given.keys() & (SECRETS.keys() | {"SAFEHANDS_DATABASE_URL", "SAFEHANDS_KEYS_URL"})
    mounts = VALUES["apiServer"]["extraVolumeMounts"]
    assert all(mount["readOnly"] for mount in mounts)
    [home] = [mount for mount in mounts if mount["name"] == "home"]
    assert home["subPath"] == "evidence"
    assert {m["name"] for m in mounts} == {v["name"] for v in VALUES["apiServer"]["extraVolumes"]}
    policies = list(yaml.safe_load_all((FOLDER / "network-policy.yaml").read_text("utf-8")))
    allowed = {
        policy["metadata"]["name"]: [
            one["podSelector"]["matchLabels"]["component"]
            for rule in policy["spec"]["ingress"]
            for one in rule["from"]
        ]
        for policy in policies
    }
    assert allowed == {"safehands-vault": ["worker"], "safehands-evidence": ["api-server"]}
