"""What the operators share whose result depends on a person's decision.

Work on the installation without any text of a foreign error leaving, and who may decide. An answer
in Airflow's human-in-the-loop task counts only under a name of ``deciders`` in ``rights.yaml``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import Context

from safehands import guard
from safehands.errors import AccessRefused, PolicyError, SafehandsError
from safehands.rights.book import load_rights_book
from safehands.settings import Settings
from safehands_airflow.operators import NightProblem

if TYPE_CHECKING:
    from safehands.installation import Installation

__all__ = ["check_decider", "opened", "required", "responder"]

_T = TypeVar("_T")


def opened(step: str, work: Callable[[Installation], _T]) -> _T:
    """Do ``work`` on the installation and close it.

    Raises ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """
    try:
        return guard.guarded(step, lambda: _with_installation(work))
    except SafehandsError as error:
        problem = error
    # Raised outside the handler, so that nothing hangs on it as context.
    raise problem if problem.retryable else NightProblem(problem)


def responder(given: Mapping[str, Any]) -> str:
    """Return the login name of whoever answered, empty when a time-out did.

    The name and not the id: where people log in by role, ids are numbers of Airflow's database,
    which nobody can check against a policy.
    """
    return str((given.get("responded_by_user") or {}).get("name", ""))


def check_decider(inst: Installation, who: str) -> None:
    """Raise ``AccessRefused`` unless policy lets ``who`` decide."""
    if who not in load_rights_book(inst.settings.policy).deciders:
        raise AccessRefused("rights.no_decider", who=who or "-")


def required(context: Context, name: str) -> Any:
    """Return a field of the form. Raises ``NightProblem`` naming it when it is empty."""
    value = context["params"].get(name)
    if value in (None, "", []):
        raise NightProblem(PolicyError("airflow.form_field", name=name))
    return value


def _with_installation(work: Callable[[Installation], _T]) -> _T:
    from safehands import journal
    from safehands.installation import open_installation

    inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
    try:
        result = work(inst)
        journal.sequence(inst.store, inst.clock())
        return result
    finally:
        inst.close()
