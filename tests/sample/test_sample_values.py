"""Invented values look like real ones and cannot contradict what the facts say."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.policy import load_policy
from safehands.sample import SampleFacts
from safehands.sample.people import id_number, make_people, stream
from safehands.sample.trade import (
    CLOSING,
    DAY,
    IN_CUSTODY,
    NEVER,
    Shop,
    Trade,
    epoch_day,
    trade_of,
    waybills,
)
from safehands.sample.words import HANGZHOU, SHENZHEN
from safehands.settings import PROJECT

BUSINESS_DATE = date(2026, 11, 23)
SHOP = Shop(1, np.arange(1700), 130, archived=0.85)


@pytest.fixture(scope="module")
def trade() -> Trade:
    return trade_of(SHOP, 1, BUSINESS_DATE)


@given(st.integers(0, 20_000), st.integers(0, 999), st.sampled_from(SHENZHEN + HANGZHOU))
def test_id_numbers_have_their_check_digit(days: int, serial: int, home: tuple[int, ...]) -> None:
    number = id_number(home[0], days, serial)
    # ISO 7064 MOD 11-2, computed the other way round: the weighted sum of all 18 is 1 modulo 11.
    values = [10 if c == "X" else int(c) for c in number]
    assert sum(v * pow(2, 17 - i, 11) for i, v in enumerate(values)) % 11 == 1


def test_districts_are_official() -> None:
    official = set(load_policy(PROJECT / "include" / "policy").divisions)
    assert set(SHENZHEN + HANGZHOU) <= official


def test_people_have_distinct_whole_mobile_numbers() -> None:
    people = make_people(stream(3), [(3000, SHENZHEN)])
    phones = people.phone.to_pylist()
    assert len(set(phones)) == 3000
    assert all(re.fullmatch(r"1[3-9]\d{9}", phone) for phone in phones)
    assert not [name for name in people.name.to_pylist() if re.search(r"\d|\s", name)]


def test_names_include_compound_and_minority_ones() -> None:
    names = make_people(stream(3), [(3000, SHENZHEN)]).name.to_pylist()
    assert 10 < sum("·" in name for name in names) < 120
    assert any(name.startswith(("欧阳", "司徒", "上官")) for name in names)
    assert max(len(name) for name in names if "·" not in name) == 4


def test_waybills_are_distinct_between_stations_and_days(trade: Trade) -> None:
    other = trade_of(Shop(2, SHOP.customers, 130), 1, BUSINESS_DATE)
    numbers = [*waybills(trade).to_pylist(), *waybills(other).to_pylist()]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"[A-Z0-9]{13,15}", number) for number in numbers)


def test_nothing_happens_after_the_evening_of_the_business_date(trade: Trade) -> None:
    closing = epoch_day(BUSINESS_DATE) * DAY + CLOSING
    done = trade.collected != NEVER
    assert trade.arrived.max() < closing
    assert trade.collected.max() <= closing
    assert (trade.collected[done] > trade.arrived[done]).all()


def test_most_is_collected_within_three_days_and_some_waits(trade: Trade) -> None:
    recent = trade.rows(~trade.expired)
    done = recent.collected != NEVER
    days = (recent.collected[done] - recent.arrived[done]) / DAY
    assert 0.04 < (recent.status == IN_CUSTODY).mean() < 0.08
    assert np.quantile(days, 0.85) < 3


def test_expired_rows_are_past_every_retention(trade: Trade) -> None:
    old = trade.rows(trade.expired)
    ages = epoch_day(BUSINESS_DATE) - np.maximum(old.arrived, old.collected) // DAY
    policy = load_policy(PROJECT / "include" / "policy")
    never = old.collected == NEVER
    assert 0 < never.sum() < len(old)
    assert ages[never].min() > policy.keep_days("never_collected")
    assert ages[~never].min() > policy.keep_days("pickup_record")
    assert trade.rows(~trade.expired).arrived.min() >= (epoch_day(BUSINESS_DATE) - 60) * DAY


def test_days_and_hours_have_a_rhythm(trade: Trade) -> None:
    recent = trade.rows(~trade.expired)
    weekday = (recent.arrived // DAY + 3) % 7
    assert (weekday == 0).sum() > 1.2 * (weekday == 6).sum()
    hours = recent.arrived % DAY // 3600
    assert hours.min() >= 8
    assert hours.max() <= 20


def test_the_ledger_says_truly_how_many_rows_it_has(sample: tuple[Path, SampleFacts]) -> None:
    folder, facts = sample
    lines = (folder / facts.files[0].path).read_bytes().decode("gb18030").split("\r\n")
    assert lines[0].endswith(f"共 {facts.files[0].rows['parcels']} 条）")
    assert len(lines) == facts.files[0].rows["parcels"] + 3
    assert "'收件人," in lines[1]


def test_the_sample_has_the_promised_size(sample: tuple[Path, SampleFacts]) -> None:
    facts = sample[1]
    assert 19_000 < sum(file.rows.get("parcels", 0) for file in facts.files) < 21_000
    assert 3_800 < sum(owner.people for owner in facts.owners.values()) - facts.shared < 4_100
    assert facts.shared > 50
