"""Every owner's pages as one file: whole without a server, one owner's alone, written once."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from dashboards_store import books_of, filled

from safehands.dashboards import WHOLE, Books, compose, publish
from safehands.settings import Settings
from safehands.store import Store


@pytest.fixture
def books(settings: Settings) -> Books:
    return books_of(settings)


def test_a_file_per_owner_and_language_is_written_once(
    store: Store, books: Books, tmp_path: Path
) -> None:
    filled(store)
    assert publish(store, books, tmp_path) == {"owners": 2, "files": 4, "written": 4}
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html"))
    assert names == [f"{o}/2026-11-23.{lang}.html" for o in "AB" for lang in ("en", "zh")]
    assert publish(store, books, tmp_path)["written"] == 0


def test_nothing_is_published_before_the_first_night(
    store: Store, books: Books, tmp_path: Path
) -> None:
    assert publish(store, books, tmp_path) == {"owners": 0, "files": 0, "written": 0}


def test_a_file_holds_its_owner_alone_and_needs_nothing(store: Store, books: Books) -> None:
    filled(store)
    page = compose(store, books, 2, "B", "zh")
    assert "S3" in page
    for other in ("S1", "S2", "Owner A", "june.csv", "5,321"):
        assert other not in page
    assert all(f'id="{name}"' in page and f'href="#{name}"' in page for name in WHOLE)
    # Nothing is loaded, and every reference within the file leads somewhere.
    assert not re.search(
        r'<script|<link|<form|\sstyle=|href="(?!#)|url\(|https?://(?!www\.w3)', page
    )
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'(?:aria-labelledby|for)="([^"]+)"', page)
    assert set(wanted) <= set(ids)


def test_the_policy_of_a_file_allows_its_own_style_sheet_and_nothing_else(
    store: Store, books: Books
) -> None:
    filled(store)
    page = compose(store, books, 1, "A", "en")
    found = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert found
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'\"" in page
