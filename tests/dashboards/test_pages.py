"""The dashboards: evidence becomes pages in both languages, and nobody in particular is in them."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from safehands.dashboards import PAGES, gather, render, style
from safehands.policy import Policy
from safehands.store import Store

FILL = """
INSERT INTO controller (code, name, kind) VALUES ('A', 'Owner A', 'company');
INSERT INTO station (controller_id, code, name) VALUES (1, 'S1', '一号 <b>'), (1, 'S2', '二号');
INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds) VALUES
  ('r', '2026-11-22', 'a', 'ingest', '{"in": 7, "out": 7}', '{}', 1),
  ('r', '2026-11-23', 'a', 'ingest', '{"in": 4321, "out": 4300, "quarantined": 21}', '{}', 1.5),
  ('r', '2026-11-23', 'b', 'ingest', '{"in": 1000, "out": 1000, "quarantined": 0}', '{}', 1);
INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,
  dimension, severity, evaluated, failed) VALUES
  (1, 'r', '2026-11-22', 'S1', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 0),
  (1, 'r', '2026-11-23', 'S1', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 30),
  (1, 'r', '2026-11-23', 'S2', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 0);
INSERT INTO backup (business_date, manifest, created_at, facts)
  VALUES ('2026-11-23', 'manifests/x.age', now(), '{"rows": 60, "bytes": 2000000}');
"""


def filled(store: Store) -> None:
    with store.admin().begin() as connection:
        connection.execute(text(FILL.replace(":", "\\:")))


def pages(store: Store, policy: Policy, lang: str) -> dict[str, str]:
    with store.begin("safehands_auditor") as connection:
        return {name: render(gather(connection, name), lang, policy) for name in PAGES}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_auditor_can_read_every_page(store: Store, policy: Policy, lang: str) -> None:
    filled(store)
    found = pages(store, policy, lang)
    assert "5,321" in found["overview"]
    assert "85.0 %" in found["overview"]
    assert ">70.0<" in found["quality"]
    assert "parcels.arrived_missing" in found["quality"]
    assert "manifests/x.age" in found["backups"]


def test_the_worst_station_comes_first_and_names_are_escaped(store: Store, policy: Policy) -> None:
    filled(store)
    page = pages(store, policy, "zh")["quality"]
    assert page.index("S1") < page.index("S2")
    assert "一号 &lt;b&gt;" in page
    assert "<b>" not in page


def test_a_store_without_a_night_says_so(store: Store, policy: Policy) -> None:
    assert all("No night has run yet." in p for p in pages(store, policy, "en").values())


def test_no_page_has_script_or_inline_style_or_fetches_anything(
    store: Store, policy: Policy
) -> None:
    filled(store)
    for page in pages(store, policy, "zh").values():
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|https?://", page)
    assert not re.search(r"url\(|@import|https?://", style())
