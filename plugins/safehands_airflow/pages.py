"""The dashboards inside Airflow: mounted by ``plugin``, behind Airflow's login.

Who may open a page is asked of Airflow's auth manager, as a view named ``safehands.<page>``.
An unknown page is 404, nobody logged in 401, somebody without the right 403.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from safehands.dashboards import PAGES, gather, render, style
from safehands.installation import database_url, key_sources
from safehands.keys.choose import choose
from safehands.messages import LANGUAGES
from safehands.policy import Policy, load_policy
from safehands.settings import Settings
from safehands.store import Store
from safehands_airflow.desk import router as requests

__all__ = ["app"]

_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

app = FastAPI(title="Safehands", docs_url=None, redoc_url=None, openapi_url=None)
# Before the pages, whose path would swallow it.
app.include_router(requests)


@app.get("/pages.css")
def css() -> Response:
    """Return the style sheet; it holds nothing of anybody, so it needs no login."""
    return Response(style(), media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


@app.get("/", dependencies=[Depends(get_user)])
def start() -> Response:
    """Lead to the overview."""
    return RedirectResponse("overview", headers=_SAFE)


@app.get("/{page}", response_class=HTMLResponse)
def page(page: str, request: Request, user: GetUserDep) -> Response:
    """Return one page in the language asked for, else in that of the settings."""
    if page not in PAGES:
        raise HTTPException(404)
    if not _may_see(page, user):
        raise HTTPException(403)
    settings, policy, store = _opened()
    with store.begin("safehands_auditor") as connection:
        figures = gather(connection, page)
    lang = _language(request, settings)
    return HTMLResponse(render(figures, lang, policy), headers=_SAFE)


def _may_see(page: str, user: Any) -> bool:
    """Ask the auth manager; a role that it does not know has no right."""
    name = f"safehands.{page}"
    manager = get_auth_manager()
    return bool(manager.is_authorized_custom_view(method="GET", resource_name=name, user=user))


def _language(request: Request, settings: Settings) -> str:
    asked = request.query_params.get("lang", "")
    return asked if asked in LANGUAGES else settings.lang


@cache
def _opened() -> tuple[Settings, Policy, Store]:
    """Open policy and store once per process; nothing is migrated or made here."""
    settings = Settings.read(os.environ)
    provider = choose(settings.keys_url, key_sources(settings))
    policy = load_policy(settings.policy, settings.mappings)
    return settings, policy, Store(database_url(settings), provider)
