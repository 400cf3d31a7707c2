"""What a night leaves behind, as Airflow Assets that later flows are scheduled on.

An event carries counts as ``extra`` and nothing else. The addresses are names, not places: where
the store and the backups lie is nobody's business who may read Airflow's pages.
"""

from __future__ import annotations

from airflow.sdk import Asset

__all__ = ["ASSESSMENT", "BACKUP", "DASHBOARDS", "DRILL", "REPORT", "STORE"]

STORE = Asset(name="store", uri="safehands://store", group="safehands")
BACKUP = Asset(name="backup", uri="safehands://backup", group="safehands")
REPORT = Asset(name="report", uri="safehands://report", group="safehands")
DRILL = Asset(name="restore_drill", uri="safehands://restore_drill", group="safehands")
DASHBOARDS = Asset(name="dashboards", uri="safehands://dashboards", group="safehands")
ASSESSMENT = Asset(name="risk_assessment", uri="safehands://risk_assessment", group="safehands")
