"""What Airflow mounts: the dashboards, and their entry in the navigation."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from safehands_airflow.pages import app

__all__ = ["SafehandsPlugin"]


class SafehandsPlugin(AirflowPlugin):
    """The dashboards under ``/safehands``, shown inside Airflow's own frame."""

    name = "safehands"
    fastapi_apps: ClassVar[list[Any]] = [
        {"name": "safehands", "app": app, "url_prefix": "/safehands"}
    ]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "安驿 Safehands",
            "href": "/safehands/overview",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "safehands",
        }
    ]
