"""One tree of errors, one exit code each, in both languages, whole after a journey."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from safehands import errors
from safehands.errors import SafehandsError


def family(kind: type[SafehandsError] = SafehandsError) -> list[type[SafehandsError]]:
    found = [kind]
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            found += family(child)
    return found


def drawn() -> list[tuple[int, str, int]]:
    """Return (depth, name, exit code) of each line of the tree in the module's docstring."""
    pattern = re.compile(r"^    ([│ ├└─]*)(\w+) +(\d+)( |$)", re.MULTILINE)
    return [(len(m[1]) // 4, m[2], int(m[3])) for m in pattern.finditer(errors.__doc__ or "")]


def test_the_drawn_tree_is_the_tree() -> None:
    depth = {kind: len(kind.__mro__) - len(SafehandsError.__mro__) for kind in family()}
    wanted = [(depth[kind], kind.__name__, kind.exit_code) for kind in family()]
    assert sorted(drawn()) == sorted(wanted)
    parents: list[str] = []
    for level, name, _ in drawn():
        parents[level:] = [name]
        if level:
            assert getattr(errors, name).__bases__[0].__name__ == parents[level - 1]


def test_exit_codes_are_unique_and_fit_a_shell() -> None:
    codes = [kind.exit_code for kind in family()]
    assert len(codes) == len(set(codes))
    # 2 is click's for wrong usage; from 126 a shell means something of its own.
    assert all(0 < code < 126 and code != 2 for code in codes)


def test_all_is_complete() -> None:
    public = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, SafehandsError)
    }
    assert set(errors.__all__) - {"by_code"} == public


def test_an_error_is_found_by_its_exit_code() -> None:
    assert [errors.by_code(kind.exit_code) for kind in family()] == family()
    assert errors.by_code(2) is SafehandsError


def test_only_what_may_go_away_by_itself_is_retried() -> None:
    assert [kind.__name__ for kind in family() if kind.retryable] == ["StepFailed"]


@pytest.mark.parametrize("kind", family())
@pytest.mark.parametrize(
    "travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
def test_an_error_is_whole_after_a_journey(kind: type[SafehandsError], travel: object) -> None:
    assert callable(travel)
    error = kind("ingest.truncated", file="a.csv", row=7, sheet="")
    again = travel(error)
    assert type(again) is kind
    assert (again.key, again.params) == (error.key, error.params)


def test_the_text_is_in_both_languages() -> None:
    error = errors.KeyProblem("keys.damaged", file="a.key")
    assert str(error).splitlines() == [error.say("zh"), error.say("en")]
    assert "a.key" in error.say("zh")
