"""One test file polices all DAGs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from safehands.dashboards import PAGES
from safehands.handover.request import HandoverRequest

DAGS = Path(__file__).resolve().parents[2] / "dags"
IDS = {
    "alerts",
    "disclosure",
    "handover_approval",
    "handover_transfer",
    "incident_response",
    "nightly_governance",
    "publish_dashboards",
    "restore_drill",
    "risk_assessment",
    "station_handover",
    "subject_request",
    "tick",
}
FORMS = {
    "alerts": {"business_date"},
    "disclosure": {
        "agreement",
        "owner",
        "by",
        "purpose",
        "since",
        "until",
        "reason",
        "dry_run",
        "business_date",
    },
    "incident_response": {
        "drill",
        "owner",
        "kind",
        "discovered",
        "finder",
        "by",
        "began",
        "ended",
        "systems",
        "stations",
        "batches",
        "agreements",
        "staff",
        "parcels",
        "everybody",
        "copied",
    },
    "handover_approval": {"handover", "business_date"},
    "handover_transfer": {"handover", "becomes", "form", "shard_parcels", "business_date"},
    "nightly_governance": {"business_date", "landing"},
    "publish_dashboards": set(),
    "restore_drill": {"business_date"},
    "station_handover": set(HandoverRequest.model_fields),
    "subject_request": {"request"},
    "tick": {"business_date"},
    "risk_assessment": {"business_date", "full"},
}
WAITING = {"disclosure", "handover_approval", "incident_response", "subject_request"}
ALLOWED = {"__future__", "airflow.sdk", "datetime", "pendulum", "typing"}
ALLOWED.add("airflow.providers.standard.operators.trigger_dagrun")


def test_bag_holds_exactly_the_known_dags(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == IDS


@pytest.mark.parametrize("name", sorted(IDS))
def test_dag_is_described(bag: Any, name: str) -> None:
    dag = bag.dags[name]
    assert dag.tags > {"safehands"}
    for words in (dag.dag_display_name, dag.description):
        assert bilingual(words), words
    assert dag.owner == "safehands"
    # What waits for people may not block the next of its kind.
    assert dag.max_active_runs == (16 if name in WAITING else 1)
    assert dag.catchup is False


@pytest.mark.parametrize("name", sorted(IDS))
def test_run_book_has_a_section_for_every_task(bag: Any, name: str) -> None:
    dag = bag.dags[name]
    sections = {line[4:] for line in dag.doc_md.splitlines() if line.startswith("### ")}
    assert {task.task_id.rsplit(".", 1)[-1] for task in dag.tasks} == sections


@pytest.mark.parametrize("name", sorted(IDS))
def test_every_task_has_owner_limits_and_a_notice(bag: Any, name: str) -> None:
    for task in bag.dags[name].tasks:
        assert task.owner == "safehands"
        assert task.execution_timeout is not None
        assert task.on_failure_callback, task.task_id
        # Also the verdict: a closed one is not tried again, one whose worker is gone is.
        assert task.retries >= 2
        assert task.retry_exponential_backoff


@pytest.mark.parametrize("name", sorted(IDS))
def test_form_speaks_both_languages(bag: Any, name: str) -> None:
    params = bag.dags[name].params
    assert set(params) == FORMS[name]
    for key in params:
        param = params.get_param(key)
        for part in (param.schema["title"], param.description, param.schema["section"]):
            assert bilingual(part), (key, part)


@pytest.mark.parametrize("name", sorted(IDS))
def test_every_field_shows_an_example_or_a_choice(bag: Any, name: str) -> None:
    params = bag.dags[name].params
    for key in params:
        param = params.get_param(key)
        schema = param.schema
        told = "例：" in param.description and "E.g. " in param.description
        chosen = "enum" in schema or schema["type"] == "boolean"
        # What a field starts with is an example, too.
        assert schema.get("examples") or told or chosen or param.value, key


@pytest.mark.parametrize("name", sorted(IDS))
def test_a_list_that_is_free_can_be_typed(bag: Any, name: str) -> None:
    """Airflow's form makes the examples of a list its only choices."""
    params = bag.dags[name].params
    for key in params:
        schema = params.get_param(key).schema
        if "array" in schema["type"] and "pattern" in schema["items"]:
            assert not schema.get("examples"), key


@pytest.mark.parametrize("name", sorted(IDS))
def test_every_task_leads_to_the_page_that_shows_its_result(bag: Any, name: str) -> None:
    for task in bag.dags[name].tasks:
        links = task.operator_extra_links
        assert links, task.task_id
        # The task that starts runs of another DAG leads to them, by Airflow's own button.
        if task.task_id != "ask":
            assert {link.page for link in links} <= {page.name for page in PAGES}
            assert all(bilingual(link.name) for link in links)


POOL = "safehands_store"
# Steps of a shard that read and judge: they run on as many workers as there are.
UNBOUND = {"ingest", "validate", "minimise"}


def test_shards_that_are_written_to_the_store_wait_for_a_slot(bag: Any) -> None:
    shards = {
        (name, task.task_id): task.pool
        for name, dag in bag.dags.items()
        for task in dag.tasks
        if task.task_id.startswith("shard.") or task.task_id == "rekey"
    }
    reading = {("nightly_governance", f"shard.{step}") for step in UNBOUND}
    assert shards == {
        **dict.fromkeys(reading, "default_pool"),
        ("nightly_governance", "shard.pseudonymise"): POOL,
        ("handover_transfer", "rekey"): POOL,
    }


def test_the_pool_that_dags_name_is_made_and_what_somebody_changed_stays(
    airflow: Any, bag: Any
) -> None:
    from safehands_airflow.metadata import POOLS, prepare_metadata

    named = {task.pool for dag in bag.dags.values() for task in dag.tasks} - {"default_pool"}
    wanted = {name: slots for name, (slots, _) in POOLS.items()}
    assert named == set(wanted) == {POOL}
    scale = (DAGS.parent / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"pool `{POOL}` ({wanted[POOL]} slots)" in scale
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as connection:
        own = connection.execution_options(isolation_level="AUTOCOMMIT")
        assert own.execute(text(_SLOTS)).scalar_one() == wanted[POOL]
        own.execute(text(_CHANGE), {"slots": wanted[POOL] + 3})
        try:
            prepare_metadata()
            assert own.execute(text(_SLOTS)).scalar_one() == wanted[POOL] + 3
        finally:
            own.execute(text(_CHANGE), {"slots": wanted[POOL]})
    engine.dispose()


_SLOTS = f"SELECT slots FROM slot_pool WHERE pool = '{POOL}'"
_CHANGE = f"UPDATE slot_pool SET slots = :slots WHERE pool = '{POOL}'"


def bilingual(words: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in words) and any(
        letter.isascii() and letter.isalpha() for letter in words
    )


def test_dag_files_are_tables_of_contents() -> None:
    files = sorted(DAGS.glob("*.py"))
    assert [file.stem for file in files] == sorted(IDS)
    for file in files:
        for module in _imported(ast.parse(file.read_text(encoding="utf-8"))):
            assert module in ALLOWED or module.startswith("safehands_airflow."), (file, module)


def _imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


HEAVY = """
import runpy, sys
runpy.run_path(sys.argv[1])
print([m for m in ("great_expectations", "pandas", "safehands.pipeline") if m in sys.modules])
"""


@pytest.mark.parametrize("name", sorted(IDS))
def test_parsing_a_dag_loads_no_heavy_library(airflow: Any, name: str) -> None:
    """The DAG processor parses every half minute; pandas and GX would cost seconds each time."""
    command = [sys.executable, "-c", HEAVY, str(DAGS / f"{name}.py")]
    done = subprocess.run(
        command, env=airflow.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
