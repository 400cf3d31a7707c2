"""The boundary of a step: no text of an unexpected error gets past it.

Libraries quote cells in their errors. Whatever is not one of our own errors leaves a step as
``StepFailed`` with the error's type and place, and nothing of its text, its arguments or the
frames' variables. Our own errors are made anew, so that no foreign error hangs on them as context.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safehands.errors import SafehandsError, StepFailed

__all__ = ["guarded"]

Result = TypeVar("Result")

_PACKAGE = str(Path(__file__).parent)


def guarded(step: str, work: Callable[[], Result]) -> Result:
    """Return ``work()``. Raises only ``SafehandsError``s, none of which quotes a cell."""
    try:
        return work()
    except SafehandsError as error:
        problem = type(error)(error.key, **error.params)
    except Exception as error:  # noqa: BLE001 - this is the one place that may not let any pass
        kind, place = type(error).__name__, _place(error)
        problem = StepFailed("step.failed", step=step, kind=kind, place=place)
    # Raised outside the handlers: the original is not attached as context.
    raise problem


def _place(error: Exception) -> str:
    """Return the innermost place in this package, or else wherever it was."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [f for f in frames if f.filename.startswith(_PACKAGE)] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
