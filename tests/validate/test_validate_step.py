"""The step as the pipeline sees it: one handoff in, one handoff out."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from validate_tables import NOON, dirty, handoff, shard, table

from safehands.artifacts import read_artifact
from safehands.datasets import Handoff, Problem
from safehands.errors import StepFailed
from safehands.messages import LANGUAGES, say
from safehands.night import Night
from safehands.validate import validate

CANARY = "13912345678"
TWO = shard("S1", "S2")
LATE = {"arrived_at": NOON + timedelta(days=2)}
Row = Mapping[str, Any]


def run(night: Night, **tables: pa.Table) -> Handoff:
    return validate(handoff(night, TWO, **tables), night)


def rows_of(result: Handoff, dataset: str, night: Night) -> list[dict[str, Any]]:
    return read_artifact(result.artifacts[dataset], night.key).to_pylist()


def counts(result: Handoff) -> tuple[int, ...]:
    names = ("in", "out", "quarantined", "set_aside", "withdrawn")
    return tuple(result.counts[name] for name in names)


def test_clean_tables_are_handed_on_as_they_are(night: Night) -> None:
    before = handoff(
        night,
        TWO,
        parcels=table("parcels", [{}, {"_file": 1}]),
        customers=table("customers", [{}]),
        preferences=table("preferences", [{}]),
    )
    after = validate(before, night)
    assert after.artifacts == before.artifacts
    assert counts(after) == (4, 4, 0, 0, 0)
    assert (after.step, after.reasons, after.problems) == ("validate", {}, {})
    assert after.history[-1]["step"] == "ingest"
    assert Handoff.from_dict(json.loads(json.dumps(after.as_dict()))) == after


def test_what_ingest_noted_survives(night: Night) -> None:
    known = {"station": "S1", "dataset": "parcels", "suite": "ingest", "rule": "ingest.odd"}
    known |= {"dimension": "validity", "severity": "warning", "evaluated": 5, "failed": 1}
    before = handoff(night, TWO, parcels=table("parcels", [{}]))
    before = before.then("ingest", details={"columns": {"read": 3}, "quality": [known]})
    details = validate(before, night).details
    assert details["columns"] == {"read": 3}
    assert details["quality"][0] == known
    assert len(details["quality"]) > 10


def test_a_bad_row_is_quarantined_once_under_the_first_rule_of_the_suite(night: Night) -> None:
    bad = {"_row": 41, "_sheet": "台账", "waybill_no": None, "receiver_name": CANARY, **LATE}
    result = run(night, parcels=table("parcels", [{}, bad, {"_file": 1, **LATE}, {"_file": 1}]))
    assert counts(result) == (4, 2, 2, 0, 0)
    assert result.reasons == {"parcels.waybill_missing": 1, "parcels.arrived_in_future": 1}
    assert [row["_row"] for row in rows_of(result, "parcels", night)] == [2, 5]
    first = rows_of(result, "quarantine", night)[0]
    payload = json.loads(first.pop("payload"))
    assert first == {
        "_file": 0,
        "_sheet": "台账",
        "_row": 41,
        "dataset": "parcels",
        "rule": "parcels.waybill_missing",
        "column": "waybill_no",
    }
    assert payload["receiver_name"] == CANARY
    assert payload["arrived_at"] == "2026-11-25 12:00:00"
    assert (payload["status"], payload["carrier"], payload["weight"]) == ("在站待取", "顺丰", "1.5")
    assert not {"waybill_no", "collected_at", "phone_kind", "_row"} & payload.keys()


def test_quarantine_of_ingest_is_kept_and_comes_first(night: Night) -> None:
    earlier = table("quarantine", [{"_row": 3}])
    result = run(night, parcels=table("parcels", [LATE, {}]), quarantine=earlier)
    rules = [row["rule"] for row in rows_of(result, "quarantine", night)]
    assert rules == ["ingest.odd", "parcels.arrived_in_future"]
    untouched = run(night, parcels=table("parcels", [{}]), quarantine=earlier)
    assert rows_of(untouched, "quarantine", night) == earlier.to_pylist()


def test_a_warning_removes_nothing(night: Night) -> None:
    rows = [{"receiver_phone": None, "phone_kind": 0, "carrier": 0, "weight": 900.0}] * 30
    result = run(night, parcels=table("parcels", rows))
    assert counts(result) == (30, 30, 0, 0, 0)
    failed = {e["rule"]: e["failed"] for e in result.details["quality"] if e["failed"]}
    assert failed == {
        "parcels.phone_missing": 30,
        "parcels.carrier_unknown": 30,
        "parcels.weight_out_of_range": 30,
    }


def test_too_many_bad_rows_close_the_gate_for_their_file_only(night: Night) -> None:
    shifted = [{"receiver_name": CANARY}] * 21 + [{}] * 60
    other = [{"_file": 1, **LATE}] + [{"_file": 1}] * 5
    earlier = table("quarantine", [{"_row": 3}, {"_file": 1, "_row": 4}])
    result = run(night, parcels=table("parcels", [*shifted, *other]), quarantine=earlier)
    problem = result.problems["S1/export-0.csv"]
    assert set(result.problems) == {"S1/export-0.csv"}
    assert (problem.key, problem.exit_code) == ("validate.gate_closed", 30)
    assert problem.params["rule"] == "parcels.name_holds_phone"
    assert (problem.params["bad"], problem.params["rows"]) == (21, 81)
    assert all("26%" in say(problem.key, lang, **problem.params) for lang in LANGUAGES)
    assert counts(result) == (87, 5, 1, 81, 1)
    assert result.reasons == {"parcels.arrived_in_future": 1}
    assert {row["_file"] for row in rows_of(result, "parcels", night)} == {1}
    assert {row["_file"] for row in rows_of(result, "quarantine", night)} == {1}


def test_bad_rows_below_the_limits_are_quarantined_row_by_row(night: Night) -> None:
    few = [LATE] * 19 + [{}]
    many = [{"_file": 1, **LATE}] * 20 + [{"_file": 1}] * 80
    result = run(night, parcels=table("parcels", [*few, *many]))
    assert result.problems == {}
    assert counts(result) == (120, 81, 39, 0, 0)


def test_a_file_of_which_nothing_is_left_stays_outside_however_small(night: Night) -> None:
    result = run(night, parcels=table("parcels", [LATE, {"waybill_no": None}, LATE]))
    assert result.problems["S1/export-0.csv"].params["rule"] == "parcels.arrived_in_future"
    assert counts(result) == (3, 0, 0, 3, 0)
    assert rows_of(result, "parcels", night) == []
    assert "quarantine" not in result.artifacts


def test_something_left_in_another_sheet_keeps_a_file_inside(night: Night) -> None:
    customers = table("customers", [{"_sheet": "客户", "receiver_phone": "0571-88888888"}])
    result = run(night, parcels=table("parcels", [{"_sheet": "台账"}]), customers=customers)
    assert (result.problems, counts(result)) == ({}, (2, 1, 1, 0, 0))


def test_a_file_set_aside_leaves_every_table(night: Night) -> None:
    customers = table("customers", [{}, {"_file": 1}])
    result = run(night, parcels=table("parcels", [LATE] * 30 + [{}]), customers=customers)
    assert [row["_file"] for row in rows_of(result, "customers", night)] == [1]
    assert counts(result) == (33, 1, 0, 32, 0)


def test_earlier_problems_stay(night: Night) -> None:
    from dataclasses import replace

    earlier = {"S2/export-1.csv": Problem("ingest.empty", {"file": "b"}, 23)}
    before = handoff(night, TWO, parcels=table("parcels", [LATE]))
    result = validate(replace(before, problems=earlier), night)
    assert sorted(result.problems) == ["S1/export-0.csv", "S2/export-1.csv"]


def test_quality_is_counted_per_station_with_its_exact_keys(night: Night) -> None:
    rows = [{"receiver_name": None}, {}, {"_file": 1}]
    quality = run(night, parcels=table("parcels", rows)).details["quality"]
    names = [e for e in quality if e["rule"] == "parcels.name_missing"]
    common = {"dataset": "parcels", "suite": "parcels", "rule": "parcels.name_missing"}
    common |= {"dimension": "completeness", "severity": "warning"}
    assert names == [
        {"station": "S1", **common, "evaluated": 2, "failed": 1},
        {"station": "S2", **common, "evaluated": 1, "failed": 0},
    ]


def test_the_people_of_the_parcels_are_counted_as_customers(night: Night) -> None:
    same = {"receiver_phone": CANARY}
    parcels = [same, {**same, "receiver_name": None}, {"phone_kind": 2, "receiver_phone": "1*8"}]
    parcels += [{"receiver_phone": "8613900001111", "phone_kind": 6, "_file": 1}]
    result = run(night, parcels=table("parcels", parcels))
    phones = _entries(result, "customers.phone_not_mobile")
    assert phones == {"S1": (1, 0), "S2": (1, 1)}
    assert _entries(result, "customers.name_missing") == {"S1": (1, 0), "S2": (1, 0)}
    assert counts(result) == (4, 4, 0, 0, 0)


def test_listed_customers_and_people_of_parcels_are_added_up(night: Night) -> None:
    customers = table("customers", [{}, {"receiver_phone": "123"}])
    result = run(night, parcels=table("parcels", [{}]), customers=customers)
    assert _entries(result, "customers.phone_not_mobile") == {"S1": (3, 1)}
    sources = [v["source"] for v in result.details["verdicts"] if v["dataset"] == "customers"]
    assert set(sources) == {"parcels", "customers"}


def _entries(result: Handoff, rule: str) -> dict[str, tuple[int, int]]:
    found = [e for e in result.details["quality"] if e["rule"] == rule]
    assert len({e["station"] for e in found}) == len(found)
    return {e["station"]: (e["evaluated"], e["failed"]) for e in found}


def test_an_empty_table_is_reported_and_handed_on(night: Night) -> None:
    before = handoff(night, TWO, parcels=table("parcels", []))
    result = validate(before, night)
    assert result.artifacts == before.artifacts
    assert _entries(result, "parcels.no_rows") == {"S1": (1, 1), "S2": (1, 1)}
    assert _entries(result, "parcels.waybill_missing") == {"S1": (0, 0), "S2": (0, 0)}


def test_an_artifact_that_changed_on_the_way_is_not_believed(night: Night) -> None:
    before = handoff(night, TWO, parcels=table("parcels", [{}]))
    with open(before.artifacts["parcels"].path, "ab") as file:
        file.write(b"x")
    with pytest.raises(StepFailed):
        validate(before, night)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(parcels=dirty("parcels", 2), customers=dirty("customers", 2), both=st.booleans())
def test_every_row_has_exactly_one_fate(
    parcels: pa.Table, customers: pa.Table, both: bool, calm_night: Night
) -> None:
    tables = {"parcels": parcels, **({"customers": customers} if both else {})}
    result = run(calm_night, **tables)
    inside = [row for name in tables for row in rows_of(result, name, calm_night)]
    aside = rows_of(result, "quarantine", calm_night) if "quarantine" in result.artifacts else []
    paths = [file.path for file in TWO.files]
    outside = sum(
        paths[row["_file"]] in result.problems for t in tables.values() for row in t.to_pylist()
    )
    rows = sum(t.num_rows for t in tables.values())
    assert counts(result) == (rows, len(inside), len(aside), outside, 0)
    assert rows == len(inside) + len(aside) + outside
    assert sum(result.reasons.values()) == len(aside)
    assert not {paths[row["_file"]] for row in inside} & result.problems.keys()


def test_nothing_that_leaves_the_step_in_clear_holds_a_value(
    night: Night, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = {"receiver_name": CANARY, "waybill_no": CANARY + "运", "receiver_phone": CANARY + "0"}
    customers = table("customers", [{"receiver_phone": CANARY + "0"}])
    result = run(night, parcels=table("parcels", [bad] * 3 + [{}]), customers=customers)
    assert result.counts["quarantined"] == 4
    said = capfd.readouterr()
    for text in (json.dumps(result.as_dict()), caplog.text, said.out, said.err):
        assert CANARY not in text
    assert (said.out, said.err) == ("", "")
    assert CANARY in str(rows_of(result, "quarantine", night))


def test_great_expectations_is_asked_for_no_values(night: Night) -> None:
    from safehands.validate import verdicts
    from safehands.validate.suites import load_suite

    suite = load_suite(night.settings.expectations, "customers")
    narrow = suite.model_copy(update={"expectations": suite.expectations[1:2]})
    rows = table("customers", [{"receiver_phone": CANARY + "0"}]).to_pandas()
    (result,) = verdicts._run(narrow, rows)
    assert result.result["unexpected_count"] == 1
    assert CANARY not in str(result.to_json_dict())


def test_a_rule_that_cannot_be_worked_out_is_named_without_its_error(night: Night) -> None:
    from safehands.validate import verdicts
    from safehands.validate.suites import load_suite

    suite = load_suite(night.settings.expectations, "parcels")
    rule = next(r for r in suite.expectations if r.id == "parcels.weight_out_of_range")
    wrong = rule.model_copy(update={"kwargs": {"column": "receiver_name", "min_value": 0}})
    narrow = suite.model_copy(update={"expectations": (wrong,)})
    with pytest.raises(StepFailed) as caught:
        verdicts.judge(narrow, table("parcels", [{"receiver_name": CANARY}]))
    assert caught.value.params == {"rule": "parcels.weight_out_of_range"}
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_rules_that_great_expectations_loses_are_noticed(night: Night) -> None:
    from safehands.errors import PolicyError
    from safehands.validate import verdicts
    from safehands.validate.suites import load_suite

    suite = load_suite(night.settings.expectations, "customers")
    twice = suite.model_copy(update={"expectations": suite.expectations[:1] * 2})
    with pytest.raises(PolicyError, match="customers"):
        verdicts.judge(twice, table("customers", [{}]))


def test_importing_the_step_does_not_import_great_expectations() -> None:
    code = "import sys, safehands.validate; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
