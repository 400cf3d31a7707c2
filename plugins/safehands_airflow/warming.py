"""The first page after a start is as fast as the next: what it needs is loaded beside the start.

A middleware of the whole web server, because that alone tells the API server from the other
processes in which Airflow loads plugins: only there an application is built.
"""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any

from safehands.dashboards import charts
from safehands.errors import SafehandsError
from safehands_airflow.seat import place

__all__ = ["Warming"]


class Warming:
    """Passes everything on; its making starts the loading, once, in the background."""

    def __init__(self, app: Any) -> None:
        self._app = app
        Thread(target=_load, name="safehands-warming", daemon=True).start()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do nothing of its own."""
        await self._app(scope, receive, send)


def _load() -> None:
    charts.warm()
    try:
        with place().store.begin("safehands_auditor"):
            pass
    except SafehandsError as error:
        # Whoever opens a page is told; here nobody waits for an answer.
        logging.getLogger(__name__).warning("dashboards are not ready: %s", error)
