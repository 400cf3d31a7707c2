"""The metrics' address, ``/safehands/metrics``: for a scraper with its own token, and nobody else.

A scraper cannot log in: Airflow's tokens end after a day. It sends the secret
``SAFEHANDS_METRICS_TOKEN`` as its bearer token (Prometheus: ``authorization: credentials_file``).
Without that secret, or with one of fewer than 24 characters, the address is closed.
"""

from __future__ import annotations

import hmac

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from safehands.settings import Settings
from safehands_airflow.seat import place

__all__ = ["NAME", "router"]

NAME = "SAFEHANDS_METRICS_TOKEN"

_LEAST = 24
_CLOSED = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}

router = APIRouter()


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Return counts and dates in the OpenMetrics format; 401 without the token."""
    found = place()
    if not _is_scraper(request.headers.get("authorization", ""), found.settings):
        raise HTTPException(401, headers=_CLOSED)
    from safehands.metrics import CONTENT_TYPE, openmetrics

    with found.store.begin("safehands_auditor") as connection:
        content = openmetrics(connection)
    return Response(content, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _is_scraper(given: str, settings: Settings) -> bool:
    wanted = settings.secret(NAME)
    scheme, _, token = given.partition(" ")
    same = hmac.compare_digest(token.strip().encode(), wanted.encode())
    return scheme.casefold() == "bearer" and len(wanted) >= _LEAST and same
