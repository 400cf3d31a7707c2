"""A real Airflow on an embedded PostgreSQL, with a small landing folder.

Airflow reads its settings at the first import, so no module here imports it at the top: the
fixture ``airflow`` sets the environment first, for the whole test process.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from runs import DAY, OTHER, PHONE, landing, run_dag

from safehands import embedded
from safehands.installation import Installation, open_installation
from safehands.settings import Settings
from safehands_airflow import home

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class AirflowHome:
    """An installation whose database server runs, and the environment of its Airflow."""

    settings: Settings
    environment: dict[str, str]


def without_airflow() -> dict[str, str]:
    """Return this process's environment without anything that would steer Airflow or Safehands."""
    prefixes = ("AIRFLOW", "SAFEHANDS_", "PG")
    return {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}


@pytest.fixture(scope="package")
def airflow() -> Iterator[AirflowHome]:
    """Airflow's environment, set in this process, and its migrated database."""
    assert "airflow" not in sys.modules, "somebody imported Airflow before its settings were there"
    folder = Path(tempfile.mkdtemp(prefix="sh-airflow-"))
    settings = Settings.read({}, home=str(folder / "home"), lang="en")
    place = embedded.Place(settings.home)
    embedded.start(place, durable=False)
    before = dict(os.environ)
    environment = home.prepare(settings, without_airflow())
    os.environ.clear()
    os.environ.update(environment)
    from safehands_airflow.metadata import prepare_metadata

    prepare_metadata()
    yield AirflowHome(settings, environment)
    os.environ.clear()
    os.environ.update(before)
    embedded.remove(place)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def bag(airflow: AirflowHome) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    from safehands_airflow.local import in_process

    found = DagBag(dag_folder=str(PROJECT / "dags"))
    for dag in found.dags.values():
        in_process(dag)
    return found


@pytest.fixture(scope="package")
def inst(airflow: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A store with two people, each with a parcel: ``PHONE`` and ``OTHER``."""
    folder = landing(tmp_path_factory.mktemp("rights"), "R1", (PHONE, OTHER), 810000)
    conf = {"business_date": DAY, "landing": str(folder)}
    assert run_dag("nightly_governance", conf).state == "success"
    made = open_installation(airflow.settings, lambda: datetime.now(UTC))
    yield made
    made.close()


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes one station's parcel export and returns the landing folder."""

    def write(station: str, rows: int, first: int = 0, text: str | None = None) -> Path:
        folder = tmp_path / "landing" / station
        folder.mkdir(parents=True, exist_ok=True)
        header = "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,货架号,状态,入库时间,取件时间"
        lines = [header, *(_parcel(first + number) for number in range(rows))]
        content = text if text is not None else "\n".join(lines) + "\n"
        (folder / "parcels.csv").write_text(content, encoding="utf-8")
        return tmp_path / "landing"

    return write


def _parcel(number: int) -> str:
    cells = (
        f"SF{number:013d}",
        "顺丰",
        "测试员",
        f"1390000{number:04d}",
        "广东省深圳市南山区测试路1号",
        f"1-2-{number:04d}",
        "A-01",
        "已取件",
        "2026-11-20 10:00:00",
        "2026-11-20 18:00:00",
    )
    return ",".join(cells)
