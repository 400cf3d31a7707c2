"""Only what a declared purpose needs gets through, and nothing that is past its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimised import SCHEMAS, at
from safehands.artifacts import read_artifact, write_artifact
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.keys import RunKey
from safehands.minimise import minimise
from safehands.night import Night
from safehands.policy import Policy
from safehands.settings import Settings

TIME = pa.timestamp("us", "UTC")
TEXT, SMALL = pa.string(), pa.int16()
REFERENCES = [("_file", pa.int32()), ("_sheet", TEXT), ("_row", pa.int32())]
PERSON = [("receiver_phone", TEXT), ("phone_kind", pa.int8())]
CANONICAL = {
    "parcels": pa.schema(
        [
            *REFERENCES,
            ("waybill_no", TEXT),
            ("carrier", SMALL),
            ("receiver_name", TEXT),
            *PERSON,
            ("receiver_address", TEXT),
            ("pickup_code", TEXT),
            ("shelf", TEXT),
            ("status", SMALL),
            ("weight", pa.float64()),
            ("arrived_at", TIME),
            ("collected_at", TIME),
            ("remark", TEXT),
        ]
    ),
    "customers": pa.schema(
        [
            *REFERENCES,
            *PERSON,
            ("receiver_name", TEXT),
            ("receiver_address", TEXT),
            ("updated_at", TIME),
        ]
    ),
    "preferences": pa.schema(
        [
            *REFERENCES,
            *PERSON,
            ("notify_channel", SMALL),
            ("delivery_choice", SMALL),
            ("time_window", SMALL),
            ("marketing", pa.int8()),
            ("updated_at", TIME),
        ]
    ),
}
SHARD = Shard("A-1", "A", (SourceFile("A1", "a.csv", 1, "d"),))
MOBILE = {"receiver_phone": "13800000001", "phone_kind": 1}
ADDRESS = "广东省深圳市南山区科技路1号3栋502"


def parcel(**changes: Any) -> dict[str, Any]:
    row = {
        "_file": 0,
        "_row": 2,
        "waybill_no": "W1",
        "carrier": 1,
        "receiver_name": "张伟",
        **MOBILE,
        "receiver_address": ADDRESS,
        "pickup_code": "7-1-2",
        "shelf": "A7",
        "status": 1,
        "weight": 0.5,
        "arrived_at": at(2026, 11, 20),
        "remark": None,
    }
    return {**row, **changes}


def run(night: Night, **tables: list[dict[str, Any]]) -> Handoff:
    artifacts = {}
    for name, rows in tables.items():
        table = pa.Table.from_pylist(
            [{f: row.get(f) for f in CANONICAL[name].names} for row in rows], CANONICAL[name]
        )
        artifacts[name] = write_artifact(table, night.work, name, night.key)
    before = Handoff(night.run, "validate", SHARD, artifacts, details={"kept": 1})
    return minimise(before, night)


def reduced(night: Night, name: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    result = run(night, **{name: list(rows)})
    table = read_artifact(result.artifacts[name], night.key)
    assert table.schema == SCHEMAS[name]
    found: list[dict[str, Any]] = table.to_pylist()
    return found


# What gets through.


def test_the_columns_are_those_the_store_needs_and_no_others(night: Night) -> None:
    (row,) = reduced(night, "parcels", parcel(remark="放门口，张伟 13800000001"))
    assert not {"remark", "weight", "_row", "_sheet", "phone_kind"} & row.keys()
    assert row["district"] == 440305


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 5, 6, None])
def test_only_a_mobile_number_links_to_a_person(night: Night, kind: int | None) -> None:
    (row,) = reduced(night, "parcels", parcel(phone_kind=kind, receiver_phone="138****8000"))
    assert row["receiver_phone"] is None
    assert row["receiver_name"] is None
    assert row["receiver_address"] is None
    assert row["district"] == 440305


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, True),
        ({"status": 0}, True),
        ({"status": 2}, False),
        ({"status": 3}, False),
        ({"collected_at": at(2026, 11, 21)}, False),
        ({"status": None}, True),
    ],
)
def test_code_and_shelf_stay_only_while_a_parcel_waits(
    night: Night, changes: dict[str, Any], held: bool
) -> None:
    (row,) = reduced(night, "parcels", parcel(**changes))
    assert row["in_custody"] is held
    assert (row["pickup_code"], row["shelf"]) == (("7-1-2", "A7") if held else (None, None))


def test_a_file_without_carrier_and_status_says_not_stated(night: Night) -> None:
    (row,) = reduced(night, "parcels", parcel(carrier=None, status=None))
    assert (row["carrier"], row["status"]) == (0, 0)


@pytest.mark.parametrize(("days", "kept"), [(30, True), (31, False)])
def test_a_full_address_goes_thirty_days_after_pick_up(night: Night, days: int, kept: bool) -> None:
    moment = at(2026, 11, 23, 0) - timedelta(days=days)
    row = parcel(arrived_at=moment - timedelta(days=1), collected_at=moment)
    (found,) = reduced(night, "parcels", row)
    assert found["receiver_address"] == (ADDRESS if kept else None)
    assert found["district"] == 440305


@pytest.mark.parametrize(
    ("weight", "band"),
    [
        (None, 0),
        (0.0, 1),
        (1.0, 1),
        (1.01, 2),
        (3.0, 2),
        (3.01, 3),
        (10.0, 3),
        (10.01, 4),
        (500.0, 4),
    ],
)
def test_weight_becomes_a_band(night: Night, weight: float | None, band: int) -> None:
    (row,) = reduced(night, "parcels", parcel(weight=weight))
    assert row["weight_band"] == band


@pytest.mark.parametrize(
    ("remark", "tags"),
    [
        (None, 0),
        ("", 0),
        ("张伟的生日礼物，放王姐家", 0),
        ("易碎！轻放", 1),
        ("FRESH 生鲜", 2),
        ("到付，易碎", 5),
        ("加急", 32),
    ],
)
def test_of_a_remark_only_listed_words_leave_a_trace(
    night: Night, remark: str | None, tags: int
) -> None:
    (row,) = reduced(night, "parcels", parcel(remark=remark))
    assert row["tags"] == tags


def _with_words(night: Night, *words: str) -> Night:
    tags = night.policy.codes["remark_tag"]
    entries = {**tags.entries, 1: tags.entries[1].model_copy(update={"words": words})}
    codes = {**night.policy.codes, "remark_tag": tags.model_copy(update={"entries": entries})}
    return replace(night, policy=night.policy.model_copy(update={"codes": codes}))


def test_the_words_of_a_tag_are_words_and_no_patterns(night: Night) -> None:
    odd = _with_words(night, "a.b", "(急", "50%")
    rows = [parcel(remark=text) for text in ("axb", "A.B", "(急)", "50%")]
    assert [row["tags"] for row in reduced(odd, "parcels", *rows)] == [0, 1, 1, 1]
    none = _with_words(night)
    assert [row["tags"] for row in reduced(none, "parcels", parcel(remark="x"))] == [0]


# What is past its time.


@pytest.mark.parametrize(("rule", "days"), [("pickup_record", 365), ("never_collected", 540)])
def test_a_parcel_past_its_time_never_reaches_the_store(night: Night, rule: str, days: int) -> None:
    edge = at(2026, 11, 23, 0) - timedelta(days=days)
    rows = []
    for number, moment in (("IN", edge), ("OUT", edge - timedelta(microseconds=1))):
        done = {"collected_at": moment, "arrived_at": moment - timedelta(days=3)}
        rows.append(
            parcel(
                waybill_no=number, **(done if rule == "pickup_record" else {"arrived_at": moment})
            )
        )
    assert night.policy.keep_days(rule) == days
    result = run(night, parcels=rows)
    table = read_artifact(result.artifacts["parcels"], night.key)
    assert table["waybill_no"].to_pylist() == ["IN"]
    assert result.counts == {"in": 2, "out": 1, "expired": 1, "unlinked": 0}


def test_rows_that_belong_to_nobody_are_counted_as_such(night: Night) -> None:
    rows = [{"_file": 0, **MOBILE}, {"_file": 0, "receiver_phone": "138****8000", "phone_kind": 2}]
    result = run(night, customers=rows, preferences=rows)
    assert result.counts == {"in": 4, "out": 2, "expired": 0, "unlinked": 2}


# Preferences.


@pytest.mark.parametrize(("stated", "kept", "window"), [(None, -1, 0), (0, 0, 0), (1, 1, 3)])
def test_what_rests_on_consent_goes_without_it(
    night: Night, stated: int | None, kept: int, window: int
) -> None:
    (row,) = reduced(
        night, "preferences", {"_file": 0, **MOBILE, "time_window": 3, "marketing": stated}
    )
    assert (row["marketing"], row["time_window"]) == (kept, window)


# The record.


def test_the_record_lists_dropped_fields_and_keeps_what_came_before(night: Night) -> None:
    result = run(night, parcels=[parcel()])
    assert result.details["kept"] == 1
    dropped = result.details["fields_dropped"]
    assert "id_number" in dropped["parcels"]
    assert "birth_date" in dropped["customers"]
    assert not {"receiver_phone", "remark"} & set(dropped["parcels"])
    assert result.step == "minimise"


def test_an_empty_table_and_no_table_pass(night: Night) -> None:
    assert reduced(night, "parcels") == []
    assert run(night).counts["in"] == 0


SOME_TEXT = st.none() | st.text(max_size=12)
MOMENTS = st.integers(0, 1_400 * 86_400).map(lambda n: at(2023, 1, 1) + timedelta(seconds=n))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "receiver_name": SOME_TEXT,
            "receiver_phone": SOME_TEXT,
            "phone_kind": st.integers(0, 6),
            "receiver_address": SOME_TEXT,
            "pickup_code": SOME_TEXT,
            "shelf": SOME_TEXT,
            "remark": SOME_TEXT,
            "status": st.none() | st.integers(0, 4),
            "carrier": st.none() | st.integers(0, 10),
            "weight": st.none() | st.floats(0, 100),
            "arrived_at": MOMENTS,
            "collected_at": st.none() | MOMENTS,
        }
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Night:
    home = str(tmp_path_factory.mktemp("calm"))
    day = date(2026, 11, 23)
    return Night("n", day, Settings.read({}, home=home), policy, RunKey("t", b"k" * 32))


@given(ROWS)
def test_every_row_is_kept_or_counted_and_nothing_required_is_missing(
    calm: Night, rows: list[dict[str, Any]]
) -> None:
    result = run(calm, parcels=[parcel(**row) for row in rows])
    table = read_artifact(result.artifacts["parcels"], calm.key)
    counts = result.counts
    assert counts["in"] == len(rows) == counts["out"] + counts["expired"]
    assert counts["out"] == table.num_rows
    never_null = ("carrier", "status", "in_custody", "district", "weight_band", "tags")
    assert all(table[name].null_count == 0 for name in never_null)
    for row in table.to_pylist():
        if not row["in_custody"]:
            assert row["pickup_code"] is row["shelf"] is None
