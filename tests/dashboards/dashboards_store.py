"""A small store with the evidence of two nights and two owners."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from safehands.dashboards import Books, View, open_books, open_page
from safehands.settings import PROJECT, Settings
from safehands.store import Store

FILL = """
INSERT INTO controller (code, name, kind) VALUES ('A', 'Owner A', 'company'), ('B', 'B', 'company');
INSERT INTO station (controller_id, code, name)
  VALUES (1, 'S1', '一号 <b>'), (1, 'S2', '二号'), (2, 'S3', '三号');
INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run, business_date,
  state, facts) VALUES (1, 1, 'd', 'p', 'june.csv', 'r', '2026-11-23', 'loaded', '{}');
INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number, rule, column_name,
  sealed) VALUES
  (1, 1, '2026-11-23', 'parcels', '', 9, 'parcels.arrived_missing', 'arrived_at', ''),
  (1, 1, '2026-11-23', 'parcels', '', 7, 'parcels.arrived_missing', 'arrived_at', '');
INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds) VALUES
  ('r', '2026-11-22', 'A-1', 'ingest', '{"in": 7, "out": 7}', '{}', 1),
  ('r', '2026-11-23', 'A-1', 'ingest', '{"in": 4321, "out": 4300, "quarantined": 21}', '{}', 1.5),
  ('r', '2026-11-23', 'A-2', 'ingest', '{"in": 1000, "out": 1000, "quarantined": 0}', '{}', 1);
INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,
  dimension, severity, evaluated, failed, patterns) VALUES
  (1, 'r', '2026-11-22', 'S1', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 0, '{}'),
  (1, 'r', '2026-11-23', 'S1', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 30, '{"99-9": 30}'),
  (1, 'r', '2026-11-23', 'S2', 'parcels', 'parcels', 'parcels.arrived_missing', 'completeness',
   'critical', 100, 0, '{}'),
  (2, 'r', '2026-11-23', 'S3', 'parcels', 'parcels', 'parcels.phone_odd', 'validity',
   'warning', 100, 1, '{}');
SELECT roll_up_quality('2026-11-22'), roll_up_quality('2026-11-23');
INSERT INTO backup (business_date, manifest, created_at, facts)
  VALUES ('2026-11-23', 'manifests/x.age', now(), '{"rows": 60, "bytes": 2000000}');
"""


def filled(store: Store) -> None:
    """Write the evidence."""
    with store.admin().begin() as connection:
        connection.execute(text(FILL.replace(":", "\\:")))


def books_of(settings: Settings) -> Books:
    """Return the project's own books."""
    return open_books(replace(settings, expectations=PROJECT / "expectations"))


def page(
    store: Store, books: Books, name: str, lang: str, detail: str = "", owner: str = ""
) -> str:
    """Open one page as the auditor does."""
    view = View(name, lang, books.policy, base="/safehands/", here=name, owner=owner, may_act=True)
    number = {"": None, "A": 1, "B": 2}[owner]
    with store.begin("safehands_auditor", number) as connection:
        return open_page(connection, view, books, detail)
