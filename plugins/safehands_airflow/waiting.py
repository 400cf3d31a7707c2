"""Tasks that wait for a person's answer in Airflow, for the overview.

Answers are given in Airflow; what they decide is in the store. That somebody is asked stands in
Airflow's own database alone, so it is counted there, by the server that shows the page.
"""

from __future__ import annotations

from typing import Any

from safehands_airflow.seat import Seat

__all__ = ["asked"]


def asked(seat: Seat) -> dict[str, Any]:
    """Return what the overview adds: how many tasks ask, and the address where they are answered.

    Nothing on a page of one owner: whose a question is stands in the store, not in Airflow.
    """
    if seat.view.page != "overview" or seat.view.owner:
        return {}
    root = seat.view.base.removesuffix("safehands/")
    address = f"{root}required_actions?response_received=false"
    return {"asked": {"count": _count(), "address": address}}


def _count() -> int:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import func, select

    query = (
        select(func.count())
        .select_from(TaskInstance)
        .where(TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
    )
    with create_session() as session:
        return int(session.scalar(query) or 0)
