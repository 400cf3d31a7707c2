"""The values for Airflow's Helm chart name settings that exist, and hold no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from composed import PROJECT, compose

from safehands.settings import SECRETS, VARIABLES

FOLDER = PROJECT / "deploy" / "kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))

# Places and types in the chart's values.schema.json, as of the chart that brings Airflow 3.2.2 (in
# brackets: what the chart hands on to Kubernetes as it is). Whoever sets another value looks it up
# there and in the template that uses it, and adds it here.
CHART: dict[str, type] = {
    "airflowVersion": str,
    "images.airflow.repository": str,
    "images.airflow.tag": str,
    "images.airflow.pullPolicy": str,
    "executor": str,
    "uid": int,
    "gid": int,
    "securityContexts.pod": dict,  # PodSecurityContext
    "securityContexts.containers": dict,  # SecurityContext
    "allowPodLaunching": bool,
    "networkPolicies.enabled": bool,
    "postgresql.enabled": bool,
    "redis.enabled": bool,
    "statsd.enabled": bool,
    "data.metadataSecretName": str,
    "data.brokerUrlSecretName": str,
    "data.resultBackendSecretName": str,
    "fernetKeySecretName": str,
    "apiSecretKeySecretName": str,
    "jwtSecretName": str,
    "enableBuiltInSecretEnvVars.AIRFLOW_CONN_AIRFLOW_DB": bool,
    "secret": list,  # envName, secretName, secretKey
    "env": list,  # name, value
    "volumes": list,  # Volume
    "volumeMounts": list,  # VolumeMount
    "config": dict,  # sections of airflow.cfg
    "createUserJob.enabled": bool,
    "migrateDatabaseJob.enabled": bool,
    "migrateDatabaseJob.args": list,
    "migrateDatabaseJob.extraVolumes": list,
    "migrateDatabaseJob.extraVolumeMounts": list,
    "logs.persistence.enabled": bool,
    "logs.persistence.size": str,
    "logs.persistence.storageClassName": str,
    "workers.persistence.enabled": bool,
    "workers.terminationGracePeriodSeconds": int,
    "workers.extraInitContainers": list,  # Container
    "workers.env": list,  # name and value or valueFrom
    "apiServer.env": list,
    "apiServer.service.type": str,
    "apiServer.networkPolicy.ingress.from": list,  # NetworkPolicyPeer
    "dagProcessor.enabled": bool,
    "triggerer.persistence.enabled": bool,
    "ingress.apiServer.enabled": bool,
    **{
        f"{component}.{place}": kind
        for component in ("workers", "scheduler", "apiServer", "dagProcessor", "triggerer")
        for place, kind in (
            ("resources", dict),  # ResourceRequirements
            ("extraVolumes", list),
            ("extraVolumeMounts", list),
        )
    },
    **{
        f"{component}.replicas": int
        for component in ("workers", "scheduler", "apiServer", "triggerer")
    },
    **{
        f"{component}.logGroomerSidecar.enabled": bool
        for component in ("workers", "scheduler", "dagProcessor", "triggerer")
    },
}


def places(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every place that is set, down to what the table knows or to a leaf."""
    for name, value in values.items():
        place = f"{above}{name}"
        if isinstance(value, dict) and place not in CHART:
            yield from places(value, f"{place}.")
        else:
            yield place, value


def test_every_value_is_one_that_the_chart_knows_at_that_place() -> None:
    """The chart takes many unknown values without a word, and refuses others."""
    found = dict(places(VALUES))
    assert len(found) > 60
    assert found.keys() - CHART.keys() == set()
    assert {n: type(v) for n, v in found.items()} == {n: CHART[n] for n in found}
    assert dict(places({"webserver": {"defaultUser": {"enabled": False}}})).keys() - CHART.keys()


def test_the_shapes_of_lists_are_the_charts() -> None:
    assert all(item.keys() == {"name", "value"} for item in VALUES["env"])
    assert all(item.keys() == {"envName", "secretName", "secretKey"} for item in VALUES["secret"])
    for component in ("workers", "apiServer"):
        for item in VALUES[component]["env"]:
            assert item.keys() in ({"name", "value"}, {"name", "valueFrom"})


def mounted(container: dict[str, Any], volumes: list[dict[str, Any]], key: str) -> None:
    names = [mount["name"] for mount in container.get(key, ())]
    assert set(names) <= {volume["name"] for volume in volumes}
    targets = [mount["mountPath"] for mount in container.get(key, ())]
    assert len(targets) == len(set(targets))


def test_every_mount_has_a_volume_and_a_place_of_its_own() -> None:
    """Kubernetes refuses a pod with a path that is mounted twice."""
    everywhere = VALUES["volumes"]
    for name in ("workers", "scheduler", "apiServer", "dagProcessor", "triggerer"):
        component = VALUES[name]
        volumes = [*everywhere, *component["extraVolumes"]]
        both = {"all": [*VALUES["volumeMounts"], *component["extraVolumeMounts"]]}
        mounted(both, volumes, "all")
        for container in component.get("extraInitContainers", ()):
            mounted(container, volumes, "volumeMounts")
            assert container["securityContext"] == VALUES["securityContexts"]["containers"]


def test_the_policy_arrives_whole() -> None:
    """A ConfigMap has no folders and holds a mebibyte; the files are all of the policy."""
    [volume] = VALUES["volumes"]
    flat, rules = (source["configMap"] for source in volume["projected"]["sources"])
    assert "items" not in flat
    policy = PROJECT / "include" / "policy"
    folders = [path for path in policy.iterdir() if path.is_dir()]
    assert [path.name for path in folders] == ["rulebook"]
    wanted = {path.name: f"rulebook/{path.name}" for path in folders[0].iterdir()}
    assert {item["key"]: item["path"] for item in rules["items"]} == wanted
    assert sum(path.stat().st_size for path in policy.iterdir() if path.is_file()) < 1_000_000


def test_libpq_is_given_a_password_file_of_its_readers_own() -> None:
    """A Secret's file may be read by the pod's group (fsGroup), and libpq then passes it over."""
    given = {item["name"]: item.get("value", "") for item in VALUES["workers"]["env"]}
    passfile = given["SAFEHANDS_DATABASE_URL"].rsplit("passfile=", 1)[1]
    copying = VALUES["workers"]["extraInitContainers"][0]["command"]
    assert copying[:3] == ["install", "-m", "0600"]
    assert copying[-1] == passfile
    [memory] = [v for v in VALUES["workers"]["extraVolumes"] if "emptyDir" in v]
    assert memory["emptyDir"]["medium"] == "Memory"


def test_logs_are_kept_as_long_as_the_law_asks() -> None:
    """The chart's groomers remove logs after fifteen days, with a script that our image lacks."""
    for name in ("workers", "scheduler", "dagProcessor", "triggerer"):
        assert VALUES[name]["logGroomerSidecar"] == {"enabled": False}, name


def test_workers_reach_the_api_server_through_the_network_policy() -> None:
    assert VALUES["networkPolicies"]["enabled"]
    [peer] = VALUES["apiServer"]["networkPolicy"]["ingress"]["from"]
    assert peer["podSelector"]["matchLabels"]["tier"] == "airflow"


def test_the_image_has_what_the_charts_health_checks_call() -> None:
    recipe = (PROJECT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "chmod 0755 /entrypoint" in recipe


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
    everywhere = {item["name"] for item in VALUES["env"]}
    assert wanted <= ours | everywhere
    # Compose's object store has an authority of its own; the cluster's is a public one's.
    aws = {n for n in compared if n.startswith("AWS_")} - {"AWS_CA_BUNDLE"}
    assert len(aws) > 4
    assert aws <= given.keys()
    places = {"AWS_ENDPOINT_URL_S3", "AWS_SHARED_CREDENTIALS_FILE"}
    assert {n: given[n]["value"] for n in aws - places} == {n: compared[n] for n in aws - places}
    [preparing] = [c for c in VALUES["workers"]["extraInitContainers"] if "env" in c]
    for name in ("SAFEHANDS_HOME", "SAFEHANDS_POLICY"):
        [value] = [item["value"] for item in VALUES["env"] if item["name"] == name]
        assert f"{name}={value}" in preparing["command"]
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
    assert VALUES["securityContexts"]["containers"]["capabilities"] == {"drop": ["ALL"]}
    for name in ("workers", "scheduler", "apiServer", "dagProcessor", "triggerer"):
        assert {"cpu", "memory"} <= VALUES[name]["resources"]["limits"].keys(), name


def test_people_log_in_by_role_and_no_known_password_opens_anything() -> None:
    assert VALUES["createUserJob"] == {"enabled": False}
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
