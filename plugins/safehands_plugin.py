"""What Airflow mounts: the dashboards, and their entry in the navigation."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from safehands_airflow.pages import app
from safehands_airflow.warming import Warming

__all__ = ["SafehandsPlugin"]


class SafehandsPlugin(AirflowPlugin):
    """The dashboards under ``/safehands``, shown inside Airflow's own frame."""

    name = "safehands"
    fastapi_apps: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"name": "safehands", "app": app, "url_prefix": "/safehands"}
    ]
    fastapi_root_middlewares: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"name": "safehands-warming", "middleware": Warming, "args": [], "kwargs": {}}
    ]
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "安驿",
            "href": "/safehands/overview",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "safehands",
        },
        {
            "name": "个人请求 Requests",
            "href": "/safehands/requests",
            "destination": "nav",
            "category": "browse",
            "url_route": "safehands-requests",
        },
    ]
