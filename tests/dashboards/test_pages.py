"""The dashboards: evidence becomes pages in both languages, and nobody in particular is in them."""

from __future__ import annotations

import re

import pytest
from dashboards_store import books_of, filled, page
from sqlalchemy import text

from safehands.dashboards import ROLES, WHOLE, Books, style, visible
from safehands.settings import Settings
from safehands.store import Store


@pytest.fixture
def books(settings: Settings) -> Books:
    return books_of(settings)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_auditor_can_read_every_page(store: Store, books: Books, lang: str) -> None:
    filled(store)
    found = {name: page(store, books, name, lang) for name in WHOLE}
    assert "5,321" in found["overview"]
    assert "89.6 %" in found["overview"]
    assert ">70.0<" in found["quality"]
    assert "quality/parcels.arrived_missing" in found["quality"]
    assert "manifests/x.age" in found["backups"]


def test_the_worst_station_comes_first_and_names_are_escaped(store: Store, books: Books) -> None:
    filled(store)
    shown = page(store, books, "quality", "zh")
    heat = shown[shown.index('class="heat"') :]
    assert heat.index("S1") < heat.index("S2")
    assert "一号 &lt;b&gt;" in shown
    assert "<b>" not in shown


def test_one_rule_shows_its_reason_its_nights_and_where_rows_wait(
    store: Store, books: Books
) -> None:
    filled(store)
    shown = page(store, books, "quality", "en", "parcels.arrived_missing")
    assert books.whys["parcels.arrived_missing"]["en"].replace("'", "&#39;") in shown
    assert "2026-11-22" in shown
    assert "85.0 %" in shown
    assert "99-9" in shown
    assert "june.csv" in shown
    assert "7, 9" in shown


def test_an_owner_sees_that_owner_alone(store: Store, books: Books) -> None:
    filled(store)
    mine = page(store, books, "quality", "en", owner="B")
    assert "S3" in mine
    assert "S1" not in mine
    assert "5,321" not in page(store, books, "overview", "en", owner="B")


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_store_without_a_night_says_so(store: Store, books: Books, name: str) -> None:
    assert "No night has run yet." in page(store, books, name, "en")


def test_no_page_has_script_or_inline_style_or_fetches_anything(store: Store, books: Books) -> None:
    filled(store)
    for name in WHOLE:
        shown = page(store, books, name, "zh")
        assert not re.search(
            r"<script|<style|\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org)", shown
        )
    assert not re.search(r"url\(|@import|https?://", style())


def test_a_trend_has_an_axis_a_description_and_its_numbers(store: Store, books: Books) -> None:
    filled(store)
    shown = page(store, books, "overview", "en")
    [label] = set(
        re.findall(r'<svg class="(?:wide|narrow)" role="img" aria-label="([^"]+)"', shown)
    )
    assert label == "2026-11-22 to 2026-11-23: lowest 89.6 %, now 89.6 %"
    assert 'class="mark-text role-axis-label"' in shown
    assert '<td class="num">100 %</td>' in shown


def test_sums_follow_a_night_that_is_reported_again(store: Store, books: Books) -> None:
    filled(store)
    with store.begin() as connection:
        connection.execute(text("DELETE FROM quality_result WHERE failed > 0"))
        connection.execute(text("SELECT roll_up_quality('2026-11-23')"))
    assert "Every rule passed." in page(store, books, "quality", "en")


def test_nothing_asked_lately_is_said_in_words(store: Store, books: Books) -> None:
    filled(store)
    shown = page(store, books, "privacy", "en")
    assert "None in the last 90 days." in shown
    assert "Last 90 days:" not in shown


def test_every_role_starts_at_the_overview() -> None:
    assert all(visible({role})[0] == "overview" for role in ROLES)
    assert visible(()) == ()
