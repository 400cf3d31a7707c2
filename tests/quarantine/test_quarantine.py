"""Quarantine is worked off: listed without values, shown on record, tried again exactly once."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands import pipeline
from safehands.errors import AccessRefused, BadInput
from safehands.installation import Installation
from safehands.quarantine import discard, listed, retry, show
from safehands.store.register import owners
from safehands.vault.access import Access

HEADER = "运单号,快递公司,收件人,收件人手机号,收件地址,状态,重量(kg),入库时间,取件时间"
SECRET = "测试7654321"
NUMBERED = "parcels.name_holds_phone"


def line(number: int, *, name: str = "测试甲") -> str:
    return (
        f"SF{number:013d},顺丰,{name},1380000{number % 10:04d},广东省深圳市南山区试验路1号,已取件,"
        f"1.2,2026-11-05 10:00:00,2026-11-05 18:00:00"
    )


def lay(inst: Installation, lines: list[str]) -> None:
    folder = inst.settings.landing / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "ledger.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")


def parcels(inst: Installation) -> int:
    total = 0
    for owner in owners(inst.store).values():
        with inst.store.begin(controller=owner.id) as connection:
            total += int(connection.execute(text("SELECT count(*) FROM parcel")).scalar_one())
    return total


def ledger(inst: Installation) -> str:
    with inst.store.begin() as connection:
        bodies = connection.execute(text("SELECT body FROM ledger_entry ORDER BY id")).scalars()
        return "\n".join(bodies)


@pytest.fixture
def waiting(inst: Installation) -> Installation:
    """Sixty parcels in the store; two rows wait for their name, one for its time."""
    bad_time = line(70).replace("2026-11-05 10:00:00", "vorgestern")
    lay(
        inst,
        [*map(line, range(60)), *[line(n, name=SECRET) for n in (61, 62)], bad_time],
    )
    pipeline.nightly(inst, BUSINESS_DATE, lambda *_: None)
    return inst


def lenient(inst: Installation, folder: Path) -> Installation:
    """The same installation under a rule that lets longer numbers stand in a name."""
    shutil.copytree(inst.settings.expectations, folder)
    suite = folder / "parcels.json"
    text_ = suite.read_text(encoding="utf-8")
    assert text_.count("[0-9]{7}") == 1
    suite.write_text(text_.replace("[0-9]{7}", "[0-9]{9}"), encoding="utf-8")
    return replace(inst, settings=replace(inst.settings, expectations=folder))


def test_what_waits_is_listed_without_a_value(waiting: Installation) -> None:
    rows = listed(waiting.store)
    assert [row.row for row in rows] == [62, 63, 64]
    assert SECRET not in repr(rows)


def test_a_row_is_shown_to_an_officer_and_that_is_on_record(waiting: Installation) -> None:
    chosen = next(row for row in listed(waiting.store, rule=NUMBERED))
    access = Access(chosen.controller, "officer-1", "proof")
    found = show(waiting.store, waiting.policy, access, chosen.id, NOW)
    assert SECRET in found.cells.values()
    assert SECRET not in repr(found)
    with pytest.raises(TypeError):
        pickle.dumps(found)
    written = ledger(waiting)
    assert '"action":"show"' in written
    assert "officer-1" in written
    assert SECRET not in written


@pytest.mark.parametrize(
    ("by", "purpose", "row"),
    [("13800000000", "proof", 1), ("officer-1", "curiosity", 1), ("officer-1", "proof", 999_999)],
)
def test_nothing_is_shown_without_an_officer_a_purpose_and_a_row(
    waiting: Installation, by: str, purpose: str, row: int
) -> None:
    before = ledger(waiting)
    controller = listed(waiting.store)[0].controller
    with pytest.raises(AccessRefused):
        show(waiting.store, waiting.policy, Access(controller, by, purpose), row, NOW)
    assert ledger(waiting) == before


def test_a_retry_before_anything_was_put_right_changes_nothing(waiting: Installation) -> None:
    before = listed(waiting.store)
    found = retry(waiting, BUSINESS_DATE)
    assert (found.waiting, found.loaded, found.stay) == (3, 0, 3)
    assert listed(waiting.store) == before
    assert parcels(waiting) == 60


def test_a_retry_after_the_fix_loads_exactly_the_waiting_rows(
    waiting: Installation, tmp_path: Path
) -> None:
    retry(waiting, BUSINESS_DATE)
    fixed = lenient(waiting, tmp_path / "expectations")
    found = retry(fixed, BUSINESS_DATE)
    assert (found.waiting, found.loaded, found.stay) == (3, 2, 1)
    assert [row.rule for row in listed(waiting.store)] == ["time_unreadable"]
    assert parcels(waiting) == 62
    again = retry(fixed, BUSINESS_DATE)
    assert (again.waiting, again.loaded, again.stay) == (1, 0, 1)
    assert parcels(waiting) == 62


def test_a_retry_can_be_narrowed_down(waiting: Installation, tmp_path: Path) -> None:
    fixed = lenient(waiting, tmp_path / "expectations")
    assert retry(fixed, BUSINESS_DATE, rule="time_unreadable").loaded == 0
    assert retry(fixed, BUSINESS_DATE, station="elsewhere").waiting == 0
    station = listed(fixed.store)[0].station
    assert retry(fixed, BUSINESS_DATE, station=station, rule=NUMBERED).loaded == 2


def test_rows_keep_their_day_and_its_key(waiting: Installation) -> None:
    before = {row.id: row.day for row in listed(waiting.store)}
    retry(waiting, BUSINESS_DATE.replace(day=28))
    assert {row.id: row.day for row in listed(waiting.store)} == before


def test_rows_whose_key_was_destroyed_are_counted_as_lost(waiting: Installation) -> None:
    for name in waiting.provider.names("day/quarantine"):
        waiting.provider.destroy(name)
    found = retry(waiting, BUSINESS_DATE)
    assert (found.waiting, found.loaded, found.stay, found.lost) == (3, 0, 3, 3)


def test_nothing_is_left_of_a_retry_on_disk(waiting: Installation) -> None:
    retry(waiting, BUSINESS_DATE)
    assert not list(waiting.settings.work.glob("retry-*"))
    assert not [name for name in waiting.provider.names("run") if "retry" in name]


def test_a_file_that_is_read_again_under_a_new_policy_leaves_no_row_twice(
    waiting: Installation,
) -> None:
    lay(waiting, [*map(line, range(60)), line(61, name=SECRET), line(62)])
    pipeline.nightly(waiting, BUSINESS_DATE, lambda *_: None)
    policy = waiting.policy.model_copy(update={"digest": "another"})
    pipeline.nightly(replace(waiting, policy=policy), BUSINESS_DATE, lambda *_: None)
    rows = [(row.row, row.rule) for row in listed(waiting.store)]
    assert rows.count((62, NUMBERED)) == 2  # one of each export of this name, none of them twice


def test_discarding_needs_a_reason_and_says_so_in_the_ledger(waiting: Installation) -> None:
    rows = listed(waiting.store, rule=NUMBERED)
    for reason in ("", "  ", "call 13800000000"):
        with pytest.raises(BadInput):
            discard(waiting.store, rows, reason, "officer-1", NOW)
    assert discard(waiting.store, rows, "test parcels", "officer-1", NOW) == 2
    assert discard(waiting.store, rows, "test parcels", "officer-1", NOW) == 0
    assert [row.rule for row in listed(waiting.store)] == ["time_unreadable"]
    assert ledger(waiting).count('"action":"discard"') == 1
