"""What columns are, told by their cells: measured on labelled files, and never shown."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelled_columns import id_number, labelled_columns, name, s10
from measured import Figures, cells_measured, columns_measured
from safehands.ingest.detect import contradicts, look, mask_pattern, patterns, shown, words_of
from safehands.ingest.detect.digits import carrier_of, is_id_number, is_old_id_number, is_s10
from safehands.ingest.detect.kinds import KINDS, PHONES
from safehands.policy import Policy

# The wording of every file of the set is odd or missing: these figures are of values alone.
LOWEST = 0.95
LOWEST_OF_CELLS = {"text": 0.9, "name": 0.9}


def kind(policy: Policy, cells: list[str]) -> str:
    found = look(cells, words_of(policy.codes)).kind
    return "mobile" if found in set(PHONES) - {"landline"} else found


@pytest.fixture(scope="module")
def measured_columns(door_policy: Policy) -> Figures:
    return columns_measured(labelled_columns(1, 150), lambda cells: kind(door_policy, cells))


def test_columns_are_told_by_their_cells(measured_columns: Figures) -> None:
    assert len(measured_columns.kinds) >= 18
    low = {
        k: (measured_columns.precision(k), measured_columns.recall(k))
        for k in measured_columns.kinds
        if k != "empty"
        if min(measured_columns.precision(k), measured_columns.recall(k)) < LOWEST
    }
    assert low == {}


def test_single_cells_are_told_too(door_policy: Policy) -> None:
    figures = cells_measured(7, 100, lambda cells: kind(door_policy, cells))
    low = {
        k: (figures.precision(k), figures.recall(k))
        for k in figures.kinds
        if min(figures.precision(k), figures.recall(k)) < LOWEST_OF_CELLS.get(k, LOWEST)
    }
    assert low == {}


def test_few_cells_are_less_sure_than_many(door_policy: Policy) -> None:
    words = words_of(door_policy.codes)
    sure = [look(["13800138000"] * n, words).confidence for n in (1, 3, 30, 300)]
    assert sure == sorted(sure)
    assert sure[0] < 0.4
    assert 0.98 < sure[3] < 1


def test_kinds_of_phones_stand_together(door_policy: Policy) -> None:
    cells = ["13800138000"] * 40 + ["138****8000"] * 30 + ["0571-88123456"] * 30
    seen = look(cells, words_of(door_policy.codes))
    assert (seen.kind, seen.share) == ("mobile", 1.0)
    assert set(seen.shares) == {"mobile", "masked_phone", "landline"}


def test_a_column_without_cells_is_empty(door_policy: Policy) -> None:
    seen = look(["", " ", "-", "NULL", "无"], words_of(door_policy.codes))
    assert (seen.kind, seen.cells, seen.patterns) == ("empty", 0, ())
    assert seen.kind not in KINDS


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("13800138000", "1xx-xxxx-xxxx"),
        ("+86 138-0013-8000", "1xx-xxxx-xxxx"),
        ("SF1234567890123", "AAx{13}"),
        ("王小明", "字字字"),
        ("3-1-3001", "x-x-xxxx"),
        ("2026-11-23 08:01", "xxxx-xx-xx xx:xx"),
        ("🙂", "·"),
    ],
)
def test_masked_patterns(cell: str, pattern: str) -> None:
    assert mask_pattern(cell) == pattern


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=20))
def test_patterns_hold_nothing_of_a_cell(cells: list[str]) -> None:
    """Only punctuation and the signs x, A, 字 are left; a 1 only in front of a mobile."""
    for shape, share in patterns(cells):
        bare = shape.replace("1xx-xxxx-xxxx", "")
        assert re.fullmatch(r"(?:\{\d+\}|[xA字·… \-./:()+*@#,_转])*", bare), shape
        assert 0 < share <= 1


def test_rare_shapes_are_not_told_apart() -> None:
    found = patterns(["13800138000"] * 98 + ["王小明", "SF1"])
    assert shown(found) == "1xx-xxxx-xxxx 98 %, … 2 %"


def test_header_and_cells_that_disagree(door_policy: Policy) -> None:
    words, rules = words_of(door_policy.codes), door_policy.datasets["parcels"].fields
    rng = random.Random(1)
    samples = {
        "receiver_name": [f"浙江省杭州市西湖区文三路{n}号" for n in range(20)],
        "receiver_address": [name(rng) for _ in range(20)],
        "remark": [id_number(rng) for _ in range(20)],
        "pickup_code": [f"138{n:08}" for n in range(20)],
        "shelf": [f"2026-11-23 08:{n:02}:00" for n in range(20)],
        "carrier": [f"139{n:08}" for n in range(20)],
    }
    for field, cells in samples.items():
        assert contradicts(field, rules[field], cells, words) is not None, field
        assert contradicts(field, rules[field], cells[:4], words) is None, field


def test_what_is_unusual_is_no_disagreement(door_policy: Policy) -> None:
    words, rules = words_of(door_policy.codes), door_policy.datasets["parcels"].fields
    fine = {
        "waybill_no": [f"ZZ{n:06}" for n in range(20)],
        "receiver_name": ["小陈", "Xi", "阿姨家", "3楼", "囧囧有神"] * 4,
        "carrier": ["某某速递", "飞毛腿"] * 10,
        "remark": ["放门口", "13800138000", "王芳"] * 7,
        "shelf": ["王芳", "A区"] * 10,
        "status": ["已揽收", "转运中"] * 10,
    }
    for field, cells in fine.items():
        assert contradicts(field, rules[field], cells, words) is None, field


@given(st.integers(0, 2**32))
def test_check_digits_hold_and_one_changed_digit_breaks_them(seed: int) -> None:
    rng = random.Random(seed)
    number, item = id_number(rng), s10(rng)
    assert is_id_number(number)
    assert is_s10(item)
    wrong = str((int(number[16]) + 1) % 10)
    assert not is_id_number(number[:16] + wrong + number[17])
    wrong = str((int(item[9]) + 1) % 10)
    assert not is_s10(item[:9] + wrong + item[10:])


def test_dates_and_areas_of_id_numbers() -> None:
    assert is_old_id_number("330106900101123")
    assert not is_old_id_number("330106901301123")
    assert not is_old_id_number("990106900101123")
    assert not is_id_number("330106199013011234")


def test_waybills_by_carrier() -> None:
    assert "sf" in carrier_of("SF1234567890123")
    assert "yto" in carrier_of("YT1234567890123")
    assert "ems" in carrier_of("RR123456785CN")
    assert carrier_of("RR123456784CN") == ()
    assert carrier_of("hello") == ()
