"""Metrics: what a night leaves in evidence, in both formats, without a person in a label."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands.installation import Installation
from safehands.metrics import GAUGES, measure, openmetrics, textfile, write


def admin(inst: Installation, statement: str, **values: Any) -> None:
    with inst.store.admin().begin() as connection:
        connection.execute(text(statement), values)


def step(inst: Installation, name: str, counts: str, run: str = "nightly-1") -> None:
    admin(
        inst,
        "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
        " VALUES (:run, :day, 'owner-1-1', :step, CAST(:counts AS jsonb), '{}', 1.5)",
        run=run,
        day=BUSINESS_DATE,
        step=name,
        counts=counts,
    )


def samples(inst: Installation) -> dict[tuple[str, ...], float]:
    with inst.store.begin("safehands_auditor") as connection:
        return {
            (gauge.name, *labels): number
            for gauge, found in measure(connection)
            for labels, number in found
        }


def test_an_empty_installation_has_no_numbers_but_zero_generations(inst: Installation) -> None:
    assert samples(inst) == {("backup_generations",): 0.0}


def test_numbers_are_the_newest_nights(inst: Installation) -> None:
    step(inst, "ingest", '{"in": 100, "out": 90, "quarantined": 10}')
    step(inst, "ingest", '{"in": 11, "out": 11}')
    step(inst, "validate", '{"in": 90, "out": 89, "quarantined": 1}')
    # A quarantine that was tried again by day is no night.
    step(inst, "ingest", '{"in": 5000, "out": 5000}', run="retry-1")
    found = samples(inst)
    midnight = datetime.combine(BUSINESS_DATE, datetime.min.time(), ZoneInfo("Asia/Shanghai"))
    assert found["night_timestamp_seconds",] == midnight.timestamp()
    assert found["step_rows_in", "ingest"] == 111
    assert found["step_rows_out", "ingest"] == 101
    assert found["step_rows_quarantined", "validate"] == 1
    assert found["step_seconds", "ingest"] == 3.0


def test_clocks_are_counted_apart_from_those_that_ended(inst: Installation) -> None:
    admin(inst, "INSERT INTO controller (code, name, kind) VALUES ('owner-1', '甲', 'company')")
    for day in ("2020-01-01", "2120-01-01"):
        admin(
            inst,
            "INSERT INTO complaint (controller_id, topic, channel, reference, received_at, due,"
            " by_whom) VALUES (1, 'message', 'phone', 'T-1', now(), CAST(:due AS date), 'li')",
            due=day,
        )
    found = samples(inst)
    assert found["complaints_open", "message", "late"] == 1
    assert found["complaints_open", "message", "in_time"] == 1


def test_both_formats_are_read_by_their_own_parsers(inst: Installation, tmp_path: Path) -> None:
    step(inst, "ingest", '{"in": 100, "out": 90, "quarantined": 10}')
    with inst.store.begin("safehands_auditor") as connection:
        opened, plain = openmetrics(connection).decode(), textfile(connection).decode()
    assert opened.endswith("# EOF\n")
    names = {f"safehands_{gauge.name}" for gauge in GAUGES}
    assert {family.name for family in parse_open(opened)} == names
    assert {family.name for family in parse_text(plain)} == names
    file = tmp_path / "safehands.prom"
    write(file, plain.encode())
    assert file.read_text() == plain
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]


def test_every_gauge_is_described_in_the_docs() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "metrics-and-lineage.md"
    told = page.read_text(encoding="utf-8")
    assert [g.name for g in GAUGES if f"`safehands_{g.name}`" not in told] == []
