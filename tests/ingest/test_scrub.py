"""Free text without phones, ID numbers, addresses and names; what looks alike stays."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_door import Door, csv_text, rows

from labelled_texts import HELD_OUT, HELD_OUT_ALIKES, LOOK_ALIKES, SEEN, labelled_texts
from measured import texts_measured, untouched
from safehands.ingest.normalise import Scrubber
from safehands.ingest.normalise.scrub import MARKS
from safehands.policy import Policy

# Below the figures of docs/concepts/mapping.md, which ``make bench`` prints.
RECALL = {"phone": 0.99, "id_number": 0.99, "address": 0.97, "name": 0.78}
PRECISION = {"phone": 0.99, "id_number": 0.99, "address": 0.98, "name": 0.97}


@pytest.fixture(scope="module")
def scrubber(door_policy: Policy) -> Scrubber:
    return Scrubber(door_policy.divisions)


@pytest.mark.parametrize("templates", [SEEN, HELD_OUT], ids=["seen", "held_out"])
def test_recall_and_precision(scrubber: Scrubber, templates: tuple[str, ...]) -> None:
    texts = labelled_texts(11, templates, 10)
    figures = texts_measured(
        texts, lambda text: [(s.start, s.end, s.kind) for s in scrubber.spans(text)]
    )
    assert set(RECALL) == set(figures.kinds)
    low = {k: figures.recall(k) for k in RECALL if figures.recall(k) < RECALL[k]}
    wrong = {k: figures.precision(k) for k in PRECISION if figures.precision(k) < PRECISION[k]}
    assert (low, wrong) == ({}, {})


@pytest.mark.parametrize(("alikes", "least"), [(LOOK_ALIKES, 1.0), (HELD_OUT_ALIKES, 0.9)])
def test_look_alikes_stay(scrubber: Scrubber, alikes: tuple[str, ...], least: float) -> None:
    texts = labelled_texts(12, alikes, 5)
    share = untouched(texts, lambda text: [(s.start, s.end, s.kind) for s in scrubber.spans(text)])
    assert share >= least


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("放门口，电话13800138000", "放门口,电话〔电话〕"),
        ("打１３８００１３８０００", "打〔电话〕"),
        ("1 3 8 0 0 1 3 8 0 0 0", "〔电话〕"),
        ("一三八零零一三八零零零", "〔电话〕"),
        ("身份证33010619900101123X", "身份证〔证件〕"),
        ("护照E12345678", "护照〔证件〕"),
        ("张三说周末来取", "〔姓名〕说周末来取"),
        ("送到西湖区文三路12号3栋402", "送到〔地址〕"),
        ("放5栋2单元302室", "放〔地址〕"),
        ("运单SF1234567890123到付12元", "运单SF1234567890123到付12元"),
        ("取件码3-1-3001，2026-11-23前有效", "取件码3-1-3001，2026-11-23前有效"),
        ("", ""),
    ],
)
def test_texts(scrubber: Scrubber, text: str, clean: str) -> None:
    assert scrubber.scrub(text).text == clean


def test_counts_by_kind_and_a_silent_repr(scrubber: Scrubber) -> None:
    found = scrubber.scrub("王芳 13800138000 送到西湖区文三路12号")
    assert found.counts == {"name": 1, "phone": 1, "address": 1}
    assert "13800138000" not in repr(found)
    assert set(found.counts) <= set(MARKS)


@given(st.text(max_size=60))
def test_any_text_is_scrubbed_without_an_error(scrubber: Scrubber, text: str) -> None:
    found = scrubber.scrub(text)
    again = scrubber.scrub(found.text)
    assert not again.counts.get("phone")
    assert not again.counts.get("id_number")


@given(
    st.text("放门口快递电话 ，。", max_size=8),
    st.integers(13_000_000_000, 19_999_999_999),
    st.text("放门口快递来取 ，。", max_size=8),
)
def test_no_mobile_survives(scrubber: Scrubber, before: str, number: int, after: str) -> None:
    assert str(number) not in scrubber.scrub(f"{before}{number}{after}").text


def test_a_column_is_scrubbed_once_per_text(scrubber: Scrubber) -> None:
    column = pa.array(["放门口", "电话13800138000", None, "放门口", "电话13800138000"])
    clean, counts = scrubber.column(column)
    assert clean.to_pylist() == ["放门口", "电话〔电话〕", None, "放门口", "电话〔电话〕"]
    assert counts == {"phone": 1}


def test_remarks_are_scrubbed_at_the_door(door: Door) -> None:
    header = ["运单号", "收件人", "收件人手机号", "入库时间", "重量(kg)", "状态", "备注"]
    body = rows(3)
    body[0][6], body[1][6] = "易碎，打13912345678找张伟", "大件"
    found = door.one("a.csv", csv_text([header, *body]))
    assert [r["remark"] for r in found] == ["易碎,打〔电话〕找〔姓名〕", "大件", "易碎"]
