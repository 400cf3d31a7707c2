"""Rows read = out + quarantined + skipped, whatever the cells are; no cell in any record."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_door import HEADER, Door, csv_text, make_door, rows, xlsx

from safehands.policy import Policy

_ODD = st.sampled_from(
    [
        "",
        " ",
        "合计",
        "1.38E+10",
        "13800138000",
        "昨天",
        "2026-11-23",
        "=1+1",
        "x\ny",
        'a"b',
        "46349",
        "SF1",
        "约",
        "王芳",
        "\u3000",
        "1,5",
        "#N/A",
        "共 3 条",
        "7.7E+14",
        "-",
    ]
)
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
_TABLE = st.lists(st.lists(st.one_of(_ODD, _TEXT), min_size=0, max_size=9), max_size=12)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, door_policy: Policy) -> Door:
    return make_door(tmp_path_factory.mktemp("door"), door_policy)


def is_blank(row: list[str]) -> bool:
    return not any(cell.strip() for cell in row)


def written(table: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(table)
    return out.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_TABLE)
def test_no_row_is_lost_in_text(shared: Door, odd: list[list[str]]) -> None:
    # Good rows first, so that the sampled cells always agree with the header.
    check(shared, "a.csv", written([HEADER, *rows(20), *odd]), odd)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_TABLE)
def test_no_row_is_lost_in_workbooks(shared: Door, odd: list[list[str]]) -> None:
    odd = [[cell.replace("=", "").replace("#N/A", "") for cell in row][:7] for row in odd]
    check(shared, "b.xlsx", xlsx(("A", [HEADER, *rows(20), *odd])), odd)


def check(shared: Door, name: str, content: bytes | str, odd: list[list[str]]) -> None:
    for old in shared.folder.iterdir():
        old.unlink()
    shared.put(name, content)
    handoff = shared.run()
    assert not handoff.problems, [p.key for p in handoff.problems.values()]
    counts = handoff.counts
    assert counts["in"] == counts["out"] + counts["quarantined"] + counts["skipped"]
    assert counts["in"] == 20 + sum(not is_blank(row) for row in odd)
    assert counts["quarantined"] == sum(handoff.reasons.values())
    out = shared.read(handoff)
    aside = shared.read(handoff, "quarantine") if "quarantine" in handoff.artifacts else []
    assert (len(out), len(aside)) == (counts["out"], counts["quarantined"])
    numbers = [row["_row"] for row in (*out, *aside)]
    assert len(set(numbers)) == len(numbers)
    expected = {n for n, row in enumerate(odd, 22) if not is_blank(row)} | set(range(2, 22))
    assert set(numbers) <= expected
    assert len(expected) - len(numbers) == counts["skipped"]


CANARIES = ("阮鹿宁", "13877665544", "鹿鸣谷路77号", "330106199003078888", "SF7766554433")


def canary_row(**changes: str) -> list[str]:
    row = dict(
        zip(
            HEADER,
            [CANARIES[4], *CANARIES[:2], "2026-11-23 08:01:02", "1", "待取", ""],
            strict=True,
        )
    )
    return list({**row, **changes}.values())


@pytest.mark.parametrize(
    "content",
    [
        csv_text([HEADER, canary_row()]).encode(),
        csv_text([HEADER, canary_row()]).encode()[:-20],
        csv_text([HEADER, canary_row()]).encode() + b"\xff\xff",
        csv_text([list(CANARIES), canary_row()]).encode(),
        csv_text([HEADER, canary_row(运单号=CANARIES[1])]).encode(),
        csv_text([HEADER, canary_row(收件人手机号=CANARIES[2])]).encode(),
        csv_text([HEADER, *rows(9), canary_row(入库时间=CANARIES[3])]).encode(),
        csv_text([[*HEADER, "电话"], [*canary_row(), "13911112222"]]).encode(),
        csv_text([HEADER, canary_row(备注=f'"{CANARIES[2]}')]).encode() * 3,
        xlsx((CANARIES[1], [HEADER, canary_row()])),
        xlsx((CANARIES[1], [[*CANARIES], canary_row()])),
    ],
)
def test_no_cell_in_records_errors_and_logs(
    door: Door, content: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    door.put("a.xlsx" if content.startswith(b"PK") else "a.csv", content)
    record = json.dumps(door.run().as_dict(), ensure_ascii=False)
    seen = record + caplog.text + "".join(capfd.readouterr())
    assert not [canary for canary in CANARIES if canary in seen]
    assert not [canary for canary in CANARIES if json.dumps(canary).strip('"') in seen]


def test_same_file_gives_same_rows(door: Door, tmp_path: Path) -> None:
    door.put("a.csv", csv_text([HEADER, *rows(50)]))
    first, second = door.run(), door.run()
    assert door.read(first) == door.read(second)
    assert first.counts == second.counts
