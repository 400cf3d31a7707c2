"""What holds for the tasks of every DAG of ours: owner, retries, a limit, a notice at the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from safehands_airflow.notices import notify_failure

__all__ = ["every_task"]


def every_task(
    *,
    first_retry: timedelta,
    longest_retry: timedelta,
    at_most: timedelta,
    retries: int = 2,
    growth: float = 2.0,
    **more: Any,
) -> dict[str, Any]:
    """Return a DAG's ``default_args``.

    A task that fails is tried again ``retries`` times: after ``first_retry``, then ``growth`` times
    as long each time, never longer than ``longest_retry``. ``at_most``: how long one try may take.
    A task that failed for good is put on the board (:mod:`safehands_airflow.notices`). ``more``:
    arguments of Airflow's operators that one DAG needs besides.
    """
    return {
        "owner": "safehands",
        "retries": retries,
        "retry_delay": first_retry,
        "retry_exponential_backoff": growth,
        "max_retry_delay": longest_retry,
        "execution_timeout": at_most,
        "on_failure_callback": notify_failure,
        **more,
    }
