"""Which value stands after a correction, and what is left of it when the record is masked."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from safehands.masking import mask_name
from safehands.vault.record import (
    as_bytes,
    corrected,
    history,
    masked,
    opened,
    settled,
    was_called,
)

WORDS = st.text(alphabet="张王李赵伟芳敏静abc", min_size=1, max_size=4)
TIMES = st.integers(min_value=0, max_value=10**15)


def person(**changes: Any) -> dict[str, Any]:
    return {"address": "科技路1号", "name": "张伟", "phone": "13800000001", **changes}


def test_a_correction_keeps_who_when_which_field_and_the_old_value() -> None:
    record = corrected(person(), "name", "张玮", 5, "wang.li")
    assert record["name"] == "张玮"
    assert history(record) == [("name", 5, "wang.li")]
    assert record["history"][0]["was"] == "张伟"
    assert opened(as_bytes(record)) == record


def test_without_a_correction_the_source_is_believed() -> None:
    assert settled(person(), "name", "李四", 0) == "李四"
    assert settled(person(), "name", "", 0) == "张伟"


@given(wrong=WORDS, right=WORDS, shown=WORDS, at=TIMES, seen=TIMES)
def test_the_corrected_value_stands_against_the_past_and_against_what_was_wrong(
    wrong: str, right: str, shown: str, at: int, seen: int
) -> None:
    record = corrected(person(name=wrong), "name", right, at, "x1")
    stands = settled(record, "name", shown, seen)
    if seen <= at or shown == wrong:
        assert stands == right
    else:
        assert stands == shown


@given(wrong=WORDS, right=WORDS, seen=TIMES)
def test_what_was_wrong_does_not_come_back_when_all_is_masked(
    wrong: str, right: str, seen: int
) -> None:
    record = masked(corrected(person(name=wrong), "name", right, 0, "x1"))
    assert settled(record, "name", wrong, seen) == mask_name(right)
    assert settled(record, "name", "**", seen) == mask_name(right)


def test_a_later_correction_of_a_correction_remembers_both() -> None:
    record = corrected(person(name="甲"), "name", "乙", 10, "x1")
    record = corrected(record, "name", "丙", 20, "x2")
    assert [settled(record, "name", shown, 30) for shown in ("甲", "乙", "丙", "丁")] == [
        "丙",
        "丙",
        "丙",
        "丁",
    ]


def test_a_corrected_person_is_still_the_one_they_were_called() -> None:
    record = corrected(person(name="张伟"), "name", "李静", 10, "x1")
    assert was_called(record, "张伟")
    assert was_called(record, "李静")
    assert was_called(masked(record), "张伟")
    assert not was_called(record, "王芳")


@given(name=WORDS, address=st.text(max_size=20), wrong=WORDS)
def test_masking_leaves_no_full_value_in_the_history(name: str, address: str, wrong: str) -> None:
    record = corrected(person(name=wrong, address="外滩甲路8号"), "name", name, 1, "x1")
    record = corrected(record, "address", "外滩乙路9号" + address, 2, "x1")
    hidden = masked(record)
    text = as_bytes(hidden).decode()
    assert "外滩" not in text
    assert "13800000001" not in text
    assert (hidden["name"], hidden["history"][0]["was"]) == (mask_name(name), mask_name(wrong))
    assert masked(hidden) == hidden
