"""Opening many records within an hour asks for a reason, and raises an alert in the ledger."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from minimised import World, at, collected
from nights import NOW
from safehands.errors import AccessRefused
from safehands.night import Night
from safehands.store import Store
from safehands.vault.reveal import reveal

MOST = 50


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    made.load([collected("W1", at(2026, 11, 20))])
    made.load([collected("W1", at(2026, 11, 20))], stations=["B1"])
    assert (night.policy.reveals.most, night.policy.reveals.minutes) == (MOST, 60)
    return made


def look(world: World, now: datetime, code: str = "A", reason: str = "") -> None:
    who = world.people(code)[0]["subject_id"]
    access = world.access(code=code)
    reveal(world.store, world.night.policy, access, now, subject=who, reason=reason)


def alerts(world: World) -> list[dict[str, Any]]:
    with world.store.begin("safehands_owner") as connection:
        rows = connection.execute(text("SELECT body FROM ledger_entry ORDER BY id")).scalars()
        found = [json.loads(row) for row in rows]
    return [one["facts"] for one in found if one["event"] == "vault_alert"]


def opened(world: World) -> int:
    return len(world.rows("SELECT FROM access_log WHERE action = 'reveal'"))


def test_the_first_above_the_limit_needs_a_reason(world: World) -> None:
    for minute in range(MOST):
        look(world, NOW + timedelta(minutes=minute))
    assert alerts(world) == []
    late = NOW + timedelta(minutes=MOST)
    with pytest.raises(AccessRefused) as refused:
        look(world, late)
    assert refused.value.key == "vault.too_many"
    assert opened(world) == MOST
    (alert,) = alerts(world)
    assert (alert["opened"], alert["refused"], alert["by"]) == (MOST, True, "wang.li")
    with pytest.raises(AccessRefused) as unknown:
        look(world, late, reason="because")
    assert unknown.value.key == "vault.unknown_many_reason"
    look(world, late, reason="incident")
    assert opened(world) == MOST + 1
    assert (alerts(world)[-1]["reason"], alerts(world)[-1]["refused"]) == ("incident", False)
    # Another owner's records are counted by themselves, and the hour goes by.
    look(world, late, code="B")
    look(world, NOW + timedelta(minutes=MOST + 60))
    assert len(alerts(world)) == 2


def test_an_alert_says_nothing_of_whom_it_is_about(world: World) -> None:
    for _ in range(MOST):
        look(world, NOW)
    look(world, NOW, reason="audit")
    who = str(world.people()[0]["subject_id"])
    assert not any(who in json.dumps(alert) for alert in alerts(world))


def test_refusals_of_another_kind_are_not_counted(world: World) -> None:
    world.restrict(world.people()[0]["subject_id"])
    for _ in range(3):
        with pytest.raises(AccessRefused):
            look(world, NOW)
    assert alerts(world) == []
