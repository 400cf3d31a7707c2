"""A child under fourteen waits at the door until a guardian agreed; nothing that told is kept."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_door import Door, csv_text

from nights import BUSINESS_DATE
from safehands.ingest.ages import RULE, children
from safehands.policy import Policy, load_policy
from safehands.settings import Settings

HEAD = ["手机号", "姓名", "出生日期", "身份证号", "监护人同意"]
POLICY = load_policy(Settings.read({}).policy)
FLAGS = POLICY.codes["flag"]
BIRTHDAY = date(BUSINESS_DATE.year - 14, BUSINESS_DATE.month, BUSINESS_DATE.day)


def line(number: int, birth: str = "", identity: str = "", guardian: str = "") -> list[str]:
    return [f"1380013{8000 + number}", "王小明", birth, identity, guardian]


@pytest.mark.parametrize(
    ("cells", "waits"),
    [
        (line(0), False),
        (line(0, "1990-01-02"), False),
        (line(0, BIRTHDAY.isoformat()), False),
        (line(0, (BIRTHDAY + timedelta(days=1)).isoformat()), True),
        (line(0, "2016/3/4"), True),
        (line(0, "2016年3月4日"), True),
        (line(0, "20160304"), True),
        (line(0, "not said"), False),
        (line(0, "", "110101201603040018"), True),
        (line(0, "", "110101199003040018"), False),
        (line(0, "2016-03-04", "", "是"), False),
        (line(0, "2016-03-04", "", "否"), True),
        (line(0, "2016-03-04", "", "?"), True),
    ],
)
def test_who_waits(door: Door, cells: list[str], waits: bool) -> None:
    adults = [line(n, "1985-05-05") for n in range(1, 20)]
    door.put("a.csv", csv_text([HEAD, cells, *adults]))
    handoff = door.run()
    assert handoff.problems == {}
    assert handoff.reasons == ({RULE: 1} if waits else {})
    assert handoff.counts["out"] == 20 - waits


def test_nothing_that_told_is_kept(door: Door) -> None:
    told = line(0, "2016-03-04", "110101201603040018")
    door.put("a.csv", csv_text([HEAD, told, *(line(n, "1985-05-05") for n in range(1, 20))]))
    handoff = door.run()
    (row,) = door.read(handoff, "quarantine")
    assert (row["rule"], row["_row"]) == (RULE, 2)
    assert json.loads(row["payload"]).keys() == {"receiver_phone", "receiver_name"}
    for name in ("customers", "quarantine"):
        for kept in door.read(handoff, name):
            assert "2016-03-04" not in str(kept.values())
            assert "1985-05-05" not in str(kept.values())
            assert "110101201603040018" not in str(kept.values())


@given(st.dates(date(1930, 1, 1), date(2026, 12, 31)), st.dates(date(2026, 1, 1), date(2030, 1, 1)))
def test_under_fourteen_is_before_the_fourteenth_birthday(born: date, day: date) -> None:
    found = children({"birth": pa.array([born.isoformat()])}, FLAGS, day)
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    assert (found is not None) == (born <= day and years < 14)


def test_only_what_is_dropped_may_tell(tmp_path: Path, policy: Policy) -> None:
    telling = [
        field
        for dataset in policy.datasets.values()
        for field in dataset.fields.values()
        if field.tells
    ]
    assert len(telling) == 4
    assert {field.treatment for field in telling} == {"drop"}
