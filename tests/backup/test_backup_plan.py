"""Which generations stay."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.backup.plan import Plan, Seen, plan_prune
from safehands.backuppolicy import Keep

FIRST = date(2026, 1, 1)
KEEP = Keep(daily=3, weekly=2, monthly=2, at_most_days=90)


def seen(number: int, day: int, lineage: int = 0, proved: bool = False) -> Seen:
    when = FIRST + timedelta(days=day)
    return Seen(f"m{number}", f"d{number}", number, when, lineage, proved)


@st.composite
def histories(draw: st.DrawFn) -> list[Seen]:
    steps = draw(st.lists(st.integers(0, 20), min_size=1, max_size=25))
    lineages = draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    proved = draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    found, day, lineage = [], 0, 0
    for number, (step, turned, is_proved) in enumerate(zip(steps, lineages, proved, strict=True)):
        day, lineage = day + step, lineage + (turned and number % 7 == 6)
        found.append(seen(number + 1, day, lineage, is_proved))
    return found


keeps = st.builds(
    Keep,
    daily=st.integers(1, 10),
    weekly=st.integers(0, 6),
    monthly=st.integers(0, 6),
    at_most_days=st.integers(1, 200),
)


@given(histories(), keeps)
def test_what_can_be_restored_always_stays(found: list[Seen], keep: Keep) -> None:
    plan = plan_prune(found, keep)
    assert found[-1].manifest in plan.kept
    proved = [one for one in found if one.proved]
    if proved:
        assert proved[-1].manifest in plan.kept
    else:
        assert plan.gone == ()
    assert {one.manifest for one in plan.gone} | plan.kept.keys() == {o.manifest for o in found}
    assert not {one.manifest for one in plan.gone} & plan.kept.keys()


@given(histories(), keeps)
def test_a_second_plan_finds_nothing_to_do(found: list[Seen], keep: Keep) -> None:
    gone = set(plan_prune(found, keep).gone)
    assert plan_prune([one for one in found if one not in gone], keep).gone == ()


@given(histories(), keeps)
def test_nothing_older_than_policy_stays_but_the_proof(found: list[Seen], keep: Keep) -> None:
    plan = plan_prune(found, keep)
    for one in found:
        too_old = (found[-1].day - one.day).days > keep.at_most_days
        reasons = plan.kept.get(one.manifest, ())
        if too_old and "unproved" not in reasons:
            assert set(reasons) <= {"newest", "proved"}


@given(histories(), keeps, st.randoms())
def test_the_order_does_not_matter(found: list[Seen], keep: Keep, chance: object) -> None:
    mixed = list(found)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert plan_prune(mixed, keep) == plan_prune(found, keep)


def days_kept(plan: Plan, found: list[Seen]) -> list[int]:
    return [(one.day - FIRST).days for one in found if one.manifest in plan.kept]


def test_days_weeks_and_months_keep_their_last() -> None:
    # 2026-01-01 is a Thursday; every day of 80 days, proved on the last.
    found = [seen(n + 1, n, proved=n == 79) for n in range(80)]
    plan = plan_prune(found, KEEP)
    # 2026-03-21 is a Saturday: three days; that week and the one before; March and February.
    assert days_kept(plan, found) == [58, 73, 77, 78, 79]
    assert plan.kept["m80"] == ("newest", "proved", "daily", "weekly", "monthly")
    assert plan.kept["m74"] == ("weekly",)
    assert plan.kept["m59"] == ("monthly",)


def test_of_several_on_one_day_the_last_stays() -> None:
    found = [seen(n, 5, proved=n == 4) for n in (1, 2, 3, 4)]
    assert days_kept(plan_prune(found, KEEP), found) == [5]


def test_an_old_proved_generation_stays_until_a_newer_one_is_proved() -> None:
    found = [seen(1, 0, proved=True), *(seen(n, 100 + n) for n in range(2, 9))]
    assert "m1" in plan_prune(found, KEEP).kept
    proved_again = [*found[:-1], seen(8, 108, proved=True)]
    assert "m1" not in plan_prune(proved_again, KEEP).kept


@pytest.mark.parametrize("newest_is_proved", [True, False])
def test_an_earlier_lineage_goes_when_the_newest_is_proved(newest_is_proved: bool) -> None:
    found = [seen(1, 0, 0, proved=True), seen(2, 1, 0), seen(3, 2, 1, proved=newest_is_proved)]
    kept = plan_prune(found, KEEP).kept.keys()
    assert kept == ({"m3"} if newest_is_proved else {"m1", "m2", "m3"})


def test_a_pause_or_a_clock_ages_nothing() -> None:
    """Ages count from the newest generation: without a new one, nothing more goes."""
    found = [seen(n + 1, n, proved=True) for n in range(3)]
    assert plan_prune(found, KEEP).gone == ()
