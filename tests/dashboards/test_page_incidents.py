"""The page of access and incidents: counts of what was opened, given and reported."""

from __future__ import annotations

import pytest
from dashboards_store import books_of, filled, page
from sqlalchemy import text

from safehands.dashboards import Books, visible
from safehands.settings import Settings
from safehands.store import Store

_INSERTS = (
    "INSERT INTO access_log (controller_id, action, purpose, fields, by_whom, at)"
    " SELECT id, 'reveal', 'custody', 'phone', 'zhao.min', '2026-11-22 23:30+08'"
    " FROM controller, generate_series(1, 7) WHERE code = 'A'",
    "INSERT INTO incident (controller_id, kind, drill, discovered_at, discovered_by, began_at,"
    " ended_at, scope, opened_at, by_whom) SELECT id, 'misuse', false, now(), 'customer', now(),"
    " now(), '{}', now(), 'wang.li' FROM controller WHERE code = 'A'",
    "INSERT INTO incident_event (incident_id, controller_id, kind, name, at, by_whom, facts)"
    " SELECT id, controller_id, 'assessed', 'general', now(), 'wang.li', '{\"people\": 4321}'"
    " FROM incident",
    "INSERT INTO complaint (controller_id, topic, channel, reference, received_at, due, by_whom)"
    " SELECT id, 'message', 'phone', 'C-7', '2026-11-01', '2026-11-08', 'wang.li'"
    " FROM controller WHERE code = 'A'",
    "INSERT INTO rule_figure (controller_id, name, day, scope, number, run, source)"
    " SELECT id, 'plan.contacts_open', '2026-11-22', '', 5, 'tick', 'contacts.yaml'"
    " FROM controller WHERE code = 'A'",
)


@pytest.fixture
def books(store: Store, settings: Settings) -> Books:
    filled(store)
    with store.admin().begin() as connection:
        for statement in _INSERTS:
            connection.execute(text(statement.replace(":", "\\:")))
    return books_of(settings)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_it_shows_counts_and_what_needs_a_person(store: Store, books: Books, lang: str) -> None:
    shown = page(store, books, "incidents", lang)
    assert "23:00" in shown
    assert ">7<" in shown
    assert "4,321" in shown
    assert ">5<" in shown
    assert {"zh": "尚未通知个人", "en": "people not told yet"}[lang] in shown
    for name in ("zhao.min", "wang.li", "customer", "C-7"):
        assert name not in shown


def test_another_owner_sees_nothing_of_it(store: Store, books: Books) -> None:
    shown = page(store, books, "incidents", "en", owner="B")
    assert "4,321" not in shown
    assert "No incident was opened." in shown


def test_the_operator_of_the_nights_does_not_see_it() -> None:
    assert "incidents" in visible(["officer"])
    assert "incidents" in visible(["auditor"])
    assert "incidents" not in visible(["operator"])
