"""A provider with some secrets kept back is one that has lost them, and the same otherwise."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from safehands.errors import KeyProblem
from safehands.keys import FileProvider
from safehands.keys.withheld import withheld

KEPT_BACK, OTHER = "epoch/A/1", "epoch/A/2"


@pytest.fixture
def whole(tmp_path: Path) -> FileProvider:
    made = FileProvider(tmp_path / "first", tmp_path / "second")
    for name in ("root", KEPT_BACK, OTHER):
        made.create(name)
    return made


def test_what_is_kept_back_cannot_be_had_in_any_way(whole: FileProvider) -> None:
    blind = withheld(whole, [KEPT_BACK])
    assert not blind.has(KEPT_BACK)
    assert blind.names("epoch") == [OTHER]
    for attempt in (blind.get, blind.create):
        with pytest.raises(KeyProblem):
            attempt(KEPT_BACK)
    assert whole.has(KEPT_BACK)


def test_everything_else_is_as_it_was(whole: FileProvider) -> None:
    blind = withheld(whole, [KEPT_BACK])
    assert blind.get(OTHER) == whole.get(OTHER)
    assert blind.key_id == whole.key_id
    assert blind.unwrap(whole.wrap(b"k" * 32, "p"), "p") == b"k" * 32


def test_it_does_not_leave_the_process(whole: FileProvider) -> None:
    blind = withheld(whole, [KEPT_BACK])
    with pytest.raises(TypeError):
        pickle.dumps(blind)
    assert "key" not in repr(blind).casefold() or whole.get(OTHER).hex() not in repr(blind)
