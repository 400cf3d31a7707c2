"""The events of a real night: our datasets, columns and verdicts; no parameter, file or person."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openlineage.client.event_v2 import RunEvent

from safehands.errors import SetupProblem
from safehands_airflow.lineage import TRANSPORT, require_sieve, sieved

Land = Callable[..., Path]
DAY = "2026-11-23"
PERSON = "张三丰"
RUN = """
import json, os, sys
from safehands_airflow.local import load_dag
run = load_dag("nightly_governance").test(run_conf=json.loads(sys.argv[1]))
print(run.state)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture(scope="module")
def events(airflow: Any, folder: Path) -> list[dict[str, Any]]:
    """One night in a process of its own, as Airflow reads its settings once."""
    landing = folder / "landing" / "S9"
    landing.mkdir(parents=True)
    header = "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,货架号,状态,入库时间,取件时间"
    row = (
        "SF{0:013d},顺丰,{1},1391234{0:04d},广东省深圳市南山区测试路1号,1-2,A-01,已取件,"
        "2026-11-20 10:00:00,2026-11-20 18:00:00"
    )
    lines = [header, *(row.format(number, PERSON) for number in range(700, 730))]
    (landing / f"{PERSON}的导出.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    transport = {"type": "file", "log_file_path": str(folder / "events"), "append": True}
    given = {**airflow.environment, TRANSPORT: json.dumps(transport)}
    environment = {**given, **sieved(given)}
    conf = {"business_date": DAY, "landing": str(landing.parent)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(conf)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # The last lines of the output are the log of the last event.
    assert "success" in done.stdout.splitlines(), done.stderr[-2000:]
    raw = (folder / "events").read_text(encoding="utf-8")
    return [json.loads(line) for line in raw.splitlines()]


def complete(events: list[dict[str, Any]], task: str) -> dict[str, Any]:
    names = f"nightly_governance.{task}"
    [found] = [e for e in events if e["job"]["name"] == names and e["eventType"] == "COMPLETE"]
    return found


def test_every_event_is_an_openlineage_run_event(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert event["schemaURL"].startswith("https://openlineage.io/spec/")
        assert event["producer"].startswith("https://")
        assert event["eventType"] in ("START", "COMPLETE")
        UUID(event["run"]["runId"])
        for dataset in event.get("inputs", []) + event.get("outputs", []):
            assert dataset["namespace"] == "safehands"
            for group in ("facets", "inputFacets", "outputFacets"):
                for facet in dataset.get(group, {}).values():
                    assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
    assert RunEvent.__attrs_attrs__  # The client that wrote them checks types as it builds them.


def test_columns_of_the_store_are_traced_to_the_export(events: list[dict[str, Any]]) -> None:
    outputs = {o["name"]: o for o in complete(events, "shard.pseudonymise")["outputs"]}
    lookup = outputs["store/subject"]["facets"]["columnLineage"]["fields"]["lookup"]
    [phone] = [i for i in lookup["inputFields"] if i["name"].endswith("/minimal/parcels")]
    assert phone["field"] == "receiver_phone"
    assert phone["transformations"][0]["masking"] is True
    assert outputs["store/parcel"]["outputFacets"]["outputStatistics"]["rowCount"] == 30


def test_verdicts_of_the_rules_are_assertions(events: list[dict[str, Any]]) -> None:
    inputs = complete(events, "shard.validate")["inputs"]
    [parcels] = [i for i in inputs if i["name"].endswith("/read/parcels")]
    assertions = parcels["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert len(assertions) > 5
    assert all(isinstance(one["success"], bool) for one in assertions)
    assert {one["actual"].rpartition(" of ")[2] for one in assertions} >= {"30"}


def test_the_whole_night_is_told(events: list[dict[str, Any]]) -> None:
    assert [o["name"] for o in complete(events, "backup")["outputs"]] == ["backup"]
    assert [o["name"] for o in complete(events, "report")["outputs"]] == ["report"]


def test_no_parameter_file_or_person_is_in_an_event(
    events: list[dict[str, Any]], folder: Path
) -> None:
    told = json.dumps(events, ensure_ascii=False) + json.dumps(events)
    for value in (PERSON, "1391234", "landing/S9", str(folder), "测试路", "business_date", "导出"):
        assert value not in told
    kept = {name for event in events for name in event["run"]["facets"]}
    assert kept <= {"nominalTime", "parent", "processing_engine"}


def test_with_the_sieve_off_a_runs_parameters_are_found(folder: Path) -> None:
    """That search can find: Airflow's own facet holds them."""
    from openlineage.client.event_v2 import Job, Run, RunState
    from openlineage.client.facet_v2 import error_message_run

    from safehands_airflow.sieve import Sieve

    def event() -> RunEvent:
        conf: Any = {"dagRun": {"conf": {"landing": str(folder)}}}
        failed = error_message_run.ErrorMessageRunFacet(f"{PERSON}.csv", "python", f"at {PERSON}")
        run = Run(str(UUID(int=1)), {"airflow": conf, "errorMessage": failed})
        return RunEvent(
            eventType=RunState.FAIL, eventTime="2026-11-23T02:00:00Z", run=run, job=Job("n", "j")
        )

    assert str(folder) in repr(event())
    assert PERSON in repr(event())
    passed = repr(Sieve({}).transform(event()))
    assert str(folder) not in passed
    assert PERSON not in passed


def test_lineage_is_off_and_not_imported_unless_configured(airflow: Any) -> None:
    script = (
        "import sys; from safehands_airflow.local import load_dag; load_dag('nightly_governance');"
        "from airflow.plugins_manager import _get_plugins; _get_plugins();"
        "print([m for m in sys.modules if m.startswith('openlineage')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=airflow.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "given",
    [
        {"OPENLINEAGE_URL": "https://x"},
        {"AIRFLOW__OPENLINEAGE__CONFIG_PATH": "/x"},
        {TRANSPORT: "file"},
        {TRANSPORT: "[]"},
    ],
)
def test_a_way_past_the_sieve_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(SetupProblem):
        sieved(given)


def test_the_sieve_is_put_before_once_and_required_elsewhere() -> None:
    given = {TRANSPORT: '{"type": "http", "url": "https://x", "auth": {"apiKey": "k-secret"}}'}
    once = sieved(given)
    assert sieved(once) == once
    require_sieve(once)
    require_sieve({})
    with pytest.raises(SetupProblem) as refused:
        require_sieve(given)
    assert "k-secret" not in str(refused.value)
