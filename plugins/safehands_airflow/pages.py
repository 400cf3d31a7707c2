"""The dashboards inside Airflow: mounted by the plugin, behind Airflow's login.

``ROUTERS`` is where a page of another part of the program is added; its entry in the navigation is
in ``safehands.dashboards.navigation``.
"""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import get_user
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import RedirectResponse, Response

from safehands.dashboards import DETAILS, WHOLE, style
from safehands_airflow import desk, metering, verifying
from safehands_airflow.seat import SAFE, Seat, reader
from safehands_airflow.showing import shown
from safehands_airflow.waiting import asked

__all__ = ["ROUTERS", "app"]

ROUTERS: tuple[APIRouter, ...] = (desk.router, verifying.router, metering.router)

app = FastAPI(title="Safehands", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/pages.css")
def css() -> Response:
    """Return the style sheet; it holds nothing of anybody, so it needs no login."""
    kept = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=86400"}
    return Response(style(), media_type="text/css", headers=kept)


@app.get("/", dependencies=[Depends(get_user)])
def start() -> Response:
    """Lead to the overview."""
    return RedirectResponse("overview", headers=SAFE)


def _add(page: str) -> None:
    somebody = Depends(reader(page))

    def whole(seat: Seat = somebody) -> Response:
        return shown(seat, **asked(seat))

    app.get(f"/{page}")(whole)
    if page in DETAILS:

        def one(detail: str, seat: Seat = somebody) -> Response:
            return shown(seat, detail)

        app.get(f"/{page}/{{detail}}")(one)


for _page in WHOLE:
    _add(_page)
for _router in ROUTERS:
    app.include_router(_router)
