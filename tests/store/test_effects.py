"""A claim is taken once, together with what it claims."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.store import Store
from safehands.store.effects import Claim, find, input_digest, make

CLAIM = Claim("purge", "A", "input", "policy")


def test_a_claim_is_made_once_and_found_with_its_result(store: Store) -> None:
    with store.begin() as connection:
        assert find(connection, CLAIM) is None
        assert make(connection, CLAIM, {"counts": {"out": 3}}) is True
    with store.begin() as connection:
        assert make(connection, CLAIM, {"counts": {"out": 4}}) is False
        assert find(connection, CLAIM) == {"counts": {"out": 3}}


@pytest.mark.parametrize("part", ["step", "scope", "input_digest", "policy_digest"])
def test_a_claim_is_its_four_parts(store: Store, part: str) -> None:
    with store.begin() as connection:
        make(connection, CLAIM, {})
        assert find(connection, replace(CLAIM, **{part: "other"})) is None


def test_a_claim_goes_back_with_its_transaction(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as connection:
        assert make(connection, CLAIM, {}) / 0
    with store.begin() as connection:
        assert find(connection, CLAIM) is None


def test_of_two_tries_at_once_one_wins(store: Store) -> None:
    start, won = Barrier(2), []

    def attempt() -> None:
        with store.begin() as connection:
            start.wait(timeout=10)
            won.append(make(connection, CLAIM, {}))

    tries = [Thread(target=attempt) for _ in range(2)]
    for thread in tries:
        thread.start()
    for thread in tries:
        thread.join(timeout=20)
    assert sorted(won) == [False, True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_the_order_of_a_mapping_does_not_change_the_digest(parts: dict[str, object]) -> None:
    backwards = dict(reversed(list(parts.items())))
    assert input_digest(parts) == input_digest(backwards)


def test_parts_are_not_run_together() -> None:
    digests = {input_digest("a", "b"), input_digest("ab"), input_digest(["a", "b"]), input_digest()}
    assert len(digests) == 4
