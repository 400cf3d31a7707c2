"""Three readings of each rule agree: Great Expectations, our masks, and plain Python over rows."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from validate_tables import DAY, MIDNIGHT, NOON, TIME, dirty, table

from safehands.errors import PolicyError, StepFailed
from safehands.night import Night
from safehands.validate import masks
from safehands.validate.frames import frame_of, people_of
from safehands.validate.parameters import parameters_of
from safehands.validate.quality import Findings, examine
from safehands.validate.shapes import shapes
from safehands.validate.suites import load_suite

MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STATIONS = np.array([0, 1, 1])
NAMES = ["S1", "S2"]
EARLIEST = DAY.replace(year=2016)
Row = dict[str, Any]


class Judge:
    """The shipped suites for one night, loaded once."""

    def __init__(self, night: Night) -> None:
        folder, values = night.settings.expectations, parameters_of(night)
        self.suites = {d: load_suite(folder, d).resolve(values) for d in PLAIN}

    def __call__(self, dataset: str, rows: pa.Table) -> Findings:
        stations = STATIONS[rows["_file"].to_numpy()]
        frame = frame_of(dataset, rows, stations, MIDNIGHT_UTC)
        return examine(self.suites[dataset], frame, stations, NAMES)


@pytest.fixture(scope="module")
def judge(calm_night: Night) -> Judge:
    return Judge(calm_night)


MIDNIGHT_UTC = pa.scalar(MIDNIGHT, TIME)


def _late(row: Row, column: str) -> bool:
    return row[column] is not None and row[column] > MIDNIGHT


def _too_early(row: Row) -> bool:
    local = row["arrived_at"] and (row["arrived_at"] + timedelta(hours=8)).date()
    return local is not None and local < EARLIEST


def _collected_first(row: Row) -> bool:
    times = (row["arrived_at"], row["collected_at"])
    return None not in times and times[1] < times[0]


def _weight(row: Row) -> bool:
    weight = row["weight"]
    return weight is not None and not math.isnan(weight) and not 0 <= weight <= 200


def _not_mobile(row: Row) -> bool:
    phone = row["receiver_phone"]
    return phone is not None and not re.fullmatch(r"1[3-9][0-9]{9}", phone)


Check = Callable[[Row], bool]
PLAIN: dict[str, dict[str, Check]] = {
    "parcels": {
        "parcels.waybill_missing": lambda r: r["waybill_no"] is None,
        "parcels.arrived_missing": lambda r: r["arrived_at"] is None,
        "parcels.arrived_in_future": lambda r: _late(r, "arrived_at"),
        "parcels.name_holds_phone": lambda r: bool(re.search("[0-9]{7}", r["receiver_name"] or "")),
        "parcels.collected_before_arrived": _collected_first,
        "parcels.arrived_too_early": _too_early,
        "parcels.waybill_odd": lambda r: (
            r["waybill_no"] is not None and not re.fullmatch("[A-Z0-9-]{6,32}", r["waybill_no"])
        ),
        "parcels.phone_missing": lambda r: r["receiver_phone"] is None,
        "parcels.phone_odd": lambda r: r["phone_kind"] == 6,
        "parcels.name_missing": lambda r: r["receiver_name"] is None,
        "parcels.carrier_unknown": lambda r: not r["carrier"],
        "parcels.weight_out_of_range": _weight,
        "parcels.collected_without_time": lambda r: r["status"] == 2 and not r["collected_at"],
        "parcels.in_custody_with_time": lambda r: r["status"] == 1 and bool(r["collected_at"]),
    },
    "customers": {
        "customers.phone_missing": lambda r: r["receiver_phone"] is None,
        "customers.phone_not_mobile": _not_mobile,
        "customers.name_missing": lambda r: r["receiver_name"] is None,
        "customers.updated_in_future": lambda r: _late(r, "updated_at"),
    },
    "preferences": {
        "preferences.phone_missing": lambda r: r["receiver_phone"] is None,
        "preferences.phone_not_mobile": _not_mobile,
        "preferences.notify_channel_unknown": lambda r: r["notify_channel"] == 0,
        "preferences.delivery_choice_unknown": lambda r: r["delivery_choice"] == 0,
        "preferences.time_window_unknown": lambda r: r["time_window"] == 0,
        "preferences.updated_in_future": lambda r: _late(r, "updated_at"),
    },
}


def _agrees(dataset: str, rows: pa.Table, judge: Judge) -> Findings:
    found = judge(dataset, rows)
    for rule, check in PLAIN[dataset].items():
        assert found.bad[rule].tolist() == [check(row) for row in rows.to_pylist()], rule
    return found


@MANY
@given(rows=dirty("parcels"))
def test_parcels_rules_mean_what_plain_python_says(rows: pa.Table, judge: Judge) -> None:
    found = _agrees("parcels", rows, judge)
    assert _conflicts(rows) == int(found.bad["parcels.waybill_conflict"].sum())
    assert _stale(rows) == _failed(found, "parcels.stale")


@MANY
@given(rows=dirty("customers"))
def test_customers_rules_mean_what_plain_python_says(rows: pa.Table, judge: Judge) -> None:
    found = _agrees("customers", rows, judge)
    assert found.bad["customers.phone_repeated"].tolist() == _repeated(rows)


@MANY
@given(rows=dirty("preferences"))
def test_preferences_rules_mean_what_plain_python_says(rows: pa.Table, judge: Judge) -> None:
    found = _agrees("preferences", rows, judge)
    assert found.bad["preferences.phone_repeated"].tolist() == _repeated(rows)


def _conflicts(rows: pa.Table) -> int:
    often = Counter((row["carrier"] or 0, row["waybill_no"]) for row in _distinct(rows))
    return sum(count for count in often.values() if count > 1)


def _distinct(rows: pa.Table) -> list[Row]:
    seen: dict[str, Row] = {}
    for row in rows.to_pylist():
        said = {k: v for k, v in row.items() if k[0] != "_"}
        said["weight"] = None if said["weight"] != said["weight"] else said["weight"]
        if row["waybill_no"] is not None:
            seen.setdefault(repr(said), row)
    return list(seen.values())


def _stale(rows: pa.Table) -> int:
    newest: dict[int, Any] = {}
    for row in rows.to_pylist():
        arrived, station = row["arrived_at"], int(STATIONS[row["_file"]])
        if arrived is not None and arrived <= MIDNIGHT:
            newest[station] = max(newest.get(station, arrived), arrived)
    return sum(time < MIDNIGHT - timedelta(days=4) for time in newest.values())


def _failed(found: Findings, rule: str) -> int:
    return sum(entry["failed"] for entry in found.quality if entry["rule"] == rule)


def _repeated(rows: pa.Table) -> list[bool]:
    people = [(int(STATIONS[row["_file"]]), row["receiver_phone"]) for row in rows.to_pylist()]
    often = Counter(people)
    return [often[person] > 1 and person[1] is not None for person in people]


@MANY
@given(rows=dirty("parcels"))
def test_the_people_of_parcels_are_the_distinct_whole_phones(rows: pa.Table) -> None:
    expected: dict[tuple[int, str], bool] = {}
    for row in rows.to_pylist():
        if row["receiver_phone"] is not None and row["phone_kind"] in {1, 3, 6}:
            person = (int(STATIONS[row["_file"]]), row["receiver_phone"])
            named = row["receiver_name"] is not None
            expected[person] = expected.get(person, False) or named
    people, stations = people_of(rows, STATIONS[rows["_file"].to_numpy()])
    found = {
        (int(station), row["receiver_phone"]): row["receiver_name"] is not None
        for station, row in zip(stations, people.to_pylist(), strict=True)
    }
    assert found == expected
    assert people.num_rows == len(expected)


def test_counts_per_station_add_up_to_the_verdict(judge: Judge) -> None:
    rows = table("parcels", [{"_file": at % 3, "carrier": at % 2} for at in range(30)])
    found = judge("parcels", rows)
    per_station = [e for e in found.quality if e["rule"] == "parcels.carrier_unknown"]
    verdict = next(v for v in found.verdicts if v["rule"] == "parcels.carrier_unknown")
    assert [(e["station"], e["evaluated"], e["failed"]) for e in per_station] == [
        ("S1", 10, 5),
        ("S2", 20, 10),
    ]
    assert (verdict["evaluated"], verdict["failed"], verdict["passed"]) == (30, 15, False)


@MANY
@given(rows=dirty("customers"))
def test_each_station_is_shown_the_shapes_of_its_own_bad_cells(
    rows: pa.Table, judge: Judge
) -> None:
    expected: dict[str, Counter[str]] = {}
    for row in rows.to_pylist():
        if _not_mobile(row):
            shape = next(iter(shapes(pa.chunked_array([[row["receiver_phone"]]]))))
            expected.setdefault(NAMES[STATIONS[row["_file"]]], Counter())[shape] += 1
    odd = [e for e in judge("customers", rows).quality if e["rule"] == "customers.phone_not_mobile"]
    assert {e["station"]: e["patterns"] for e in odd if e["failed"]} == expected


def test_a_future_arrival_does_not_make_an_old_export_look_fresh(judge: Judge) -> None:
    old, future = NOON - timedelta(days=9), NOON + timedelta(days=9)
    rows = table("parcels", [{"arrived_at": old}, {"arrived_at": future}])
    assert _failed(judge("parcels", rows), "parcels.stale") == 1


def test_an_empty_table_is_looked_at_by_nothing_but_the_row_count(judge: Judge) -> None:
    for dataset in ("parcels", "customers", "preferences"):
        found = judge(dataset, table(dataset, []))
        failing = {e["rule"] for e in found.quality if e["failed"]}
        looked = {e["rule"] for e in found.quality if e["evaluated"]}
        assert failing == looked == {f"{dataset}.no_rows"}
        assert {e["station"] for e in found.quality} == set(NAMES)


def test_a_mask_that_misses_a_row_stops_the_step(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "expect_column_values_to_not_match_regex"
    monkeypatch.setitem(masks.KINDS, kind, lambda rows, kwargs: np.zeros(rows.num_rows, dtype=bool))
    with pytest.raises(StepFailed) as caught:
        judge("parcels", table("parcels", [{"receiver_name": "13900001111"}]))
    assert caught.value.params == {"rule": "parcels.name_holds_phone"}
    assert "13900001111" not in str(caught.value)


def test_a_table_without_a_canonical_column_stops_the_step(judge: Judge) -> None:
    with pytest.raises(StepFailed, match="weight"):
        judge("parcels", table("parcels", [{}]).drop_columns(["weight"]))


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_match_regex", {"column": "a", "regex": "(?<!1)2"}),
        ("expect_column_values_to_match_regex", {"column": "a", "regex": "^[0-9]{4}$"}),
        ("expect_column_values_to_match_regex", {"column": "a", "regex": r"^\d{4}\Z"}),
        ("expect_column_values_to_be_between", {"column": "a", "strict_min": True}),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "a", "column_B": "b"}),
        ("expect_column_values_to_be_json_parseable", {"column": "a"}),
    ],
)
def test_a_rule_that_masks_would_read_otherwise_is_refused(kind: str, kwargs: Row) -> None:
    with pytest.raises(PolicyError):
        masks.check_kind("parcels.own", kind, kwargs)
