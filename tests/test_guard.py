"""No text of an unexpected error gets past the boundary of a step."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable

import pytest

from safehands.errors import BadInput, KeyProblem, SafehandsError, StepFailed
from safehands.guard import guarded

SECRET = "张伟 13800000001"


def _raise(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        cell = SECRET
        assert cell
        raise error

    return work


def _chained() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise BadInput("ingest.no_rows_of", file="a.csv") from error


class Odd(Exception):
    """An error whose text is itself an error."""

    def __str__(self) -> str:
        raise ValueError(SECRET)


def caught(work: Callable[[], object]) -> SafehandsError:
    with pytest.raises(SafehandsError) as found:
        guarded("ingest", work)
    return found.value


def everything(error: BaseException) -> str:
    """Return all that a log could show of an error: text, chain, locals, pickle."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = ["".join(shown.format()), repr(error), repr(error.args), repr(vars(error))]
    return "".join(parts) + pickle.dumps(error).decode("latin-1")


def test_a_result_is_handed_through() -> None:
    assert guarded("ingest", lambda: 7) == 7


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        Odd(SECRET),
        MemoryError(SECRET),
    ],
)
def test_an_unexpected_error_leaves_its_type_and_place_alone(error: Exception) -> None:
    found = caught(_raise(error))
    assert isinstance(found, StepFailed)
    assert found.params["step"] == "ingest"
    assert found.params["kind"] == type(error).__name__
    assert str(found.params["place"]).startswith("test_guard.py:")
    assert found.retryable
    assert "13800000001" not in everything(found)


def test_our_own_error_keeps_its_kind_and_loses_its_chain() -> None:
    found = caught(_raise(KeyProblem("keys.damaged", file="x")))
    assert isinstance(found, KeyProblem)
    assert (found.key, found.params) == ("keys.damaged", {"file": "x"})
    assert found.__cause__ is None
    assert found.__context__ is None


def test_a_foreign_error_behind_our_own_is_not_shown() -> None:
    found = caught(_chained)
    assert isinstance(found, BadInput)
    assert found.__cause__ is found.__context__ is None


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_stop_is_not_held_up(stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        guarded("ingest", _raise(stop()))
