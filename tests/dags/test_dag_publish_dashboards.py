"""publish_dashboards in a real Airflow: a night's evidence becomes files, and nobody is in them."""

from __future__ import annotations

from typing import Any

from runs import NAME, OTHER, PHONE, metadata, run_dag

from safehands.installation import Installation


def test_the_night_becomes_files_of_every_owner(airflow: Any, inst: Installation) -> None:
    run = run_dag("publish_dashboards", {})
    assert run.state == "success"
    folder = inst.settings.reports / "dashboards" / "owner"
    files = sorted(folder.glob("*.html"))
    assert {path.name.rsplit(".", 2)[1] for path in files} == {"zh", "en"}
    for path in files:
        page = path.read_text(encoding="utf-8")
        assert "<h1>" in page
        assert not any(value in page for value in (PHONE, OTHER, NAME))
    assert PHONE not in metadata(airflow)
    before = [path.stat().st_mtime_ns for path in files]
    assert run_dag("publish_dashboards", {}).state == "success"
    assert [path.stat().st_mtime_ns for path in files] == before


def test_it_follows_whatever_changes_the_pages(bag: Any) -> None:
    condition = bag.dags["publish_dashboards"].timetable.asset_condition
    names = {asset.name for asset in condition.objects}
    assert names == {"report", "risk_assessment", "restore_drill"}
