"""Somebody whom a full export no longer lists is noticed, and nothing is deleted by that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands import pipeline
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.night import Night
from safehands.report.evidence import gather
from safehands.stations import load_register
from safehands.store.register import owners

CUSTOMERS = "姓名,手机号,地址,更新时间"
PARCELS = "运单号,快递公司,收件人,收件人手机号,收件地址,状态,入库时间,取件时间"


def register(inst: Installation, *full: str) -> None:
    station = {"code": "shop", "name": "shop", "folder": "shop", "full_exports": list(full)}
    owner = {"code": "owner", "name": "owner", "record_sets": {}, "stations": [station]}
    (inst.settings.landing / "shop").mkdir(exist_ok=True)
    text_ = yaml.safe_dump({"controllers": [owner]}, allow_unicode=True)
    (inst.settings.landing / "stations.yaml").write_text(text_, encoding="utf-8")


def customers(inst: Installation, people: range, day: int) -> None:
    lines = [
        f"测试{i},1380000{i:04d},广东省深圳市南山区试验路{i}号,2026-11-{day:02d} 10:00:00"
        for i in people
    ]
    write(inst, "customers.csv", CUSTOMERS, lines)


def parcels(inst: Installation, numbers: range) -> None:
    lines = [
        f"SF{i:013d},顺丰,测试{i},1380000{i:04d},广东省深圳市南山区试验路{i}号,已取件,"
        "2026-11-05 10:00:00,2026-11-05 18:00:00"
        for i in numbers
    ]
    write(inst, "parcels.csv", PARCELS, lines)


def write(inst: Installation, name: str, header: str, lines: list[str]) -> None:
    path = inst.settings.landing / "shop" / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def nightly(inst: Installation, later: int = 0) -> list[dict[str, Any]]:
    day = BUSINESS_DATE - timedelta(days=2 - later)
    pipeline.nightly(inst, day, lambda *_: None)
    night: Night = pipeline.night_of(inst, pipeline.Head.of(day))
    found: list[dict[str, Any]] = gather(night, inst.store)["unlisted"]
    return found


def held(inst: Installation, table: str) -> int:
    (owner,) = owners(inst.store).values()
    with inst.store.begin(controller=owner.id) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_customer_who_is_listed_no_longer_is_noticed_and_kept(inst: Installation) -> None:
    register(inst, "customers")
    customers(inst, range(10), 20)
    assert nightly(inst) == []
    customers(inst, range(7), 21)
    assert nightly(inst, 1) == [{"station": "shop", "dataset": "customers", "rows": 3}]
    assert held(inst, "subject") == 10
    customers(inst, range(9), 22)
    assert nightly(inst, 2) == [{"station": "shop", "dataset": "customers", "rows": 1}]


def test_without_the_declaration_nothing_is_remembered(inst: Installation) -> None:
    register(inst)
    customers(inst, range(10), 20)
    nightly(inst)
    customers(inst, range(7), 21)
    assert nightly(inst, 1) == []
    assert held(inst, "listing") == 0


def test_a_parcel_that_left_a_full_ledger_is_noticed(inst: Installation) -> None:
    register(inst, "parcels")
    parcels(inst, range(6))
    nightly(inst)
    parcels(inst, range(2, 6))
    assert nightly(inst, 1) == [{"station": "shop", "dataset": "parcels", "rows": 2}]
    assert held(inst, "parcel") == 6


@pytest.mark.parametrize("table", ["subject", "parcel"])
def test_no_list_keeps_the_token_of_what_was_removed(inst: Installation, table: str) -> None:
    register(inst, "customers", "parcels")
    customers(inst, range(5), 20)
    parcels(inst, range(5))
    nightly(inst)
    before = held(inst, "listing")
    (owner,) = owners(inst.store).values()
    with inst.store.begin(controller=owner.id) as connection:
        connection.execute(text(f"DELETE FROM {table}"))
    assert held(inst, "listing") == before - 5


def test_an_unknown_dataset_is_refused(inst: Installation) -> None:
    register(inst, "parcles")
    with pytest.raises(PolicyError):
        load_register(inst.settings.landing, tuple(inst.policy.datasets))
