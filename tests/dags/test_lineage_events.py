"""The events of a real night: our datasets, columns and verdicts; no parameter, file or person."""

from __future__ import annotations

import gzip
import importlib
import json
import pkgutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
import pytest
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent

from safehands.errors import SetupProblem
from safehands_airflow.lineage import TRANSPORT, require_sieve, sieved

Land = Callable[..., Path]
DAY = "2026-11-23"
PERSON = "张三丰"
KEY = "a-key-of-the-collector"
RUN = """
import json, os, sys
from safehands_airflow.local import load_dag
run = load_dag("nightly_governance").test(run_conf=json.loads(sys.argv[1]))
print(run.state)
"""


class Collector(ThreadingHTTPServer):
    """Takes events as Marquez, DataHub and OpenMetadata do: POST to /api/v1/lineage."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Taking)
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.bodies.append(gzip.decompress(body) if packed else body)
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture(scope="module")
def events(airflow: Any, folder: Path, collector: Collector) -> list[dict[str, Any]]:
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
    kept = {"type": "file", "log_file_path": str(folder / "events"), "append": True}
    sent = {"type": "http", "url": collector.address, "auth": {"type": "api_key", "apiKey": KEY}}
    # One night for both transports.
    both = {"type": "composite", "continue_on_success": True, "transports": [kept, sent]}
    given = {**airflow.environment, TRANSPORT: json.dumps(both)}
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
    """Checked against the classes that the client generates from OpenLineage's JSON schema.

    The schema itself is in no package; its classes know every property, type and what is required.
    """
    known = facet_classes()
    seen = set()
    for event in events:
        assert breaches(event, RunEvent) == []
        assert event["eventType"] in ("START", "COMPLETE")
        UUID(event["run"]["runId"])
        holders = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
        for holder in holders:
            for group in ("facets", "inputFacets", "outputFacets"):
                for name, facet in holder.get(group, {}).items():
                    assert breaches(facet, known[facet["_schemaURL"]]) == [], name
                    seen.add(name)
        assert {d["namespace"] for d in (*event["inputs"], *event["outputs"])} <= {"safehands"}
    ours = {"schema", "columnLineage", "dataQualityAssertions", "outputStatistics"}
    assert seen > ours


def test_the_check_finds_what_the_schema_forbids(events: list[dict[str, Any]]) -> None:
    event = complete(events, "shard.validate")
    assert breaches({**event, "run": {"runId": 7}}, RunEvent)
    assert breaches({**event, "surprise": 1}, RunEvent)
    assert breaches({k: v for k, v in event.items() if k != "job"}, RunEvent)
    facet = event["inputs"][0]["facets"]["schema"]
    assert breaches({**facet, "fields": [{"type": "text"}]}, facet_classes()[facet["_schemaURL"]])


def facet_classes() -> dict[str, type]:
    """Return the client's class of every facet, by the address of its schema."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for one in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(one, type) and attrs.has(one) and hasattr(one, "_get_schema"):
                found[one._get_schema()] = one
    return found


def breaches(value: Any, wanted: Any, at: str = "") -> list[str]:
    """Return where a decoded JSON value is not what a class of the client declares."""
    if wanted is Any:
        return []
    if get_origin(wanted) in (Union, types.UnionType):
        tried = [breaches(value, one, at) for one in get_args(wanted)]
        return [] if [] in tried else min(tried, key=len)
    if get_origin(wanted) is list:
        if not isinstance(value, list):
            return [f"{at}: no list"]
        [inner] = get_args(wanted)
        return [b for n, one in enumerate(value) for b in breaches(one, inner, f"{at}[{n}]")]
    if get_origin(wanted) is dict:
        if not isinstance(value, dict):
            return [f"{at}: no object"]
        inner = get_args(wanted)[1]
        # Which class a facet has is told by its own schema's address.
        open_one = attrs.has(inner) and inner.__name__.endswith("Facet")
        return [] if open_one else [b for k, v in value.items() for b in breaches(v, inner, k)]
    if attrs.has(wanted):
        return _object(value, wanted, at)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return [] if value in {one.value for one in wanted} else [f"{at}: {value!r}"]
    right = isinstance(value, wanted) or (wanted is float and type(value) is int)
    return [] if right and not (wanted is int and value is True) else [f"{at}: {type(value)}"]


def _object(value: Any, wanted: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: no object"]
    hints = get_type_hints(wanted)
    fields = {field.name: field for field in attrs.fields(wanted)}
    needed = {n for n, f in fields.items() if f.default is attrs.NOTHING}
    wrong = [f"{at}.{n}: missing" for n in needed - value.keys()]
    wrong += [f"{at}.{n}: unknown" for n in value.keys() - fields.keys()]
    for name in value.keys() & fields.keys():
        wrong += breaches(value[name], hints[name], f"{at}.{name}")
    return wrong


def test_the_same_events_arrive_by_http(
    events: list[dict[str, Any]], collector: Collector, folder: Path
) -> None:
    assert [json.loads(body) for body in collector.bodies] == events
    assert set(collector.asked) == {("/api/v1/lineage", f"Bearer {KEY}")}
    sent = b"".join(collector.bodies).decode()
    for value in (PERSON, "1391234", str(folder), "测试路", "business_date", KEY):
        assert value not in sent
        assert json.dumps(value)[1:-1] not in sent


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
