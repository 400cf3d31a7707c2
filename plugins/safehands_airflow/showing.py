"""A page drawn from evidence, for whoever sits in front of it."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from fastapi.responses import Response
from sqlalchemy import text

from safehands.dashboards import open_page, owner_codes
from safehands_airflow.seat import Seat

__all__ = ["shown"]


def shown(seat: Seat, detail: str = "", **more: Any) -> Response:
    """Return a page from evidence: the whole of it, or one thing below it.

    An owner that the address names and nobody knows is 404.
    """
    store, owner = seat.place.store, seat.view.owner
    with store.begin("safehands_auditor") as connection:
        codes = tuple(owner_codes(connection))
        number = connection.execute(text(_OWNER), {"code": owner}).scalar() if owner else None
    if owner and number is None:
        raise HTTPException(404)
    here = seat.at(f"{seat.view.page}/{detail}" if detail else seat.view.page, codes)
    with store.begin("safehands_auditor", number) as connection:
        html = open_page(connection, here.view, seat.place.books, detail, **more)
    return here.answer(html)


_OWNER = "SELECT id FROM controller WHERE code = :code"
