"""GB/T 42460 levels at their thresholds, and suppression to a target k."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import PolicyError
from safehands.risk.classes import Classes, group
from safehands.risk.level import LEAST_CLASS, Release, assess_level, level
from safehands.risk.suppress import suppress_to_k


def _classes(*sizes: int) -> Classes:
    return group({"q": np.repeat(np.arange(len(sizes)), sizes)}, ["q"])


@pytest.mark.parametrize(("release", "least"), [("public", 20), ("controlled", 5), ("enclave", 3)])
def test_a_class_of_exactly_one_over_tau_is_accepted(release: Release, least: int) -> None:
    at = assess_level(_classes(least, 1000), release, deliberate=0.05)
    assert at.share_above == 0.0
    assert at.threshold == 1 / least
    below = assess_level(_classes(least - 1, 1000), release, deliberate=0.05)
    # One of two classes is above τ, so the overall risk is 1 whatever else holds.
    assert (below.share_above, below.overall, below.level) == (0.5, 1.0, 2)


def test_public_is_the_highest_theta_with_no_context() -> None:
    found = assess_level(_classes(20, 40), "public", deliberate=0, inadvertent=0, breach=0)
    # θ = 1/20 and 1/40: R = 1/20 · 1 = 0.05, which is still acceptable.
    assert (found.data_risk, found.context_risk, found.overall) == (0.05, 1.0, 0.05)
    assert (found.acceptable, found.level) == (True, 3)


def test_controlled_is_the_average_theta_times_the_worst_threat() -> None:
    found = assess_level(_classes(5, 10), "controlled", deliberate=0.1, inadvertent=0.3, breach=0.2)
    # θ = 1/5, 1/10: mean 0.15; 0.15 · 0.3 = 0.045.
    assert found.average == pytest.approx(0.15, rel=1e-15)
    assert found.overall == pytest.approx(0.045, rel=1e-14)
    assert found.level == 3
    worst = assess_level(_classes(5, 10), "controlled")
    assert (worst.context_risk, worst.level, worst.acceptable) == (1.0, 2, False)


@pytest.mark.parametrize("classes", range(1, 60))
def test_rounding_of_the_average_does_not_reject_the_limit(classes: int) -> None:
    # θ is 1/20 in every class, so R is 0.05 exactly, however many there are.
    assert assess_level(_classes(*[20] * classes), "controlled").acceptable
    assert not assess_level(_classes(*[20] * classes, 19), "controlled").acceptable


def test_levels() -> None:
    assert [level(direct=d, quasi=q, acceptable=a) for d, q, a in (
        (True, True, True), (False, True, False), (False, True, True), (False, False, True),
    )] == [1, 2, 3, 4]  # fmt: skip
    assert assess_level(_classes(100), "public", direct_identifiers=True).level == 1


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=10),
    st.sampled_from(sorted(LEAST_CLASS)),
    st.floats(0, 1),
)
def test_equals_the_formula_in_loops(sizes: list[int], release: Release, threat: float) -> None:
    found = assess_level(_classes(*sizes), release, deliberate=threat, inadvertent=0, breach=0)
    theta = [1 / size for size in sizes]
    if any(size < LEAST_CLASS[release] for size in sizes):
        expected = 1.0
    elif release == "public":
        expected = max(theta)
    else:
        expected = sum(theta) / len(theta) * threat
    assert found.overall == pytest.approx(expected, rel=1e-12)
    assert found.acceptable == (found.overall <= 0.05 * (1 + 1e-12))


def test_bad_arguments_are_refused() -> None:
    for call in (
        lambda: assess_level(_classes(9), "secret"),  # type: ignore[arg-type]
        lambda: assess_level(_classes(9), "public", breach=1.1),
        lambda: suppress_to_k({"q": np.arange(3)}, ["q"], 0),
        lambda: suppress_to_k({"q": np.arange(3)}, ["q"], 2, local=["other"]),
    ):
        with pytest.raises(PolicyError) as caught:
            call()
        assert caught.value.key == "risk.bad_parameter"


def test_rows_of_small_classes_are_left_out() -> None:
    frame = pd.DataFrame({"q": list("aabaac"), "n": range(6)})
    found = suppress_to_k(frame, ["q"], 2)
    assert found.table.to_pydict() == {"q": ["a"] * 4, "n": [0, 1, 3, 4]}
    assert (found.rows, found.classes, found.cells) == (2, 2, {})


def test_blanking_a_cell_saves_rows() -> None:
    table = pa.table({"zip": ["1", "2", "3", "9"], "sex": ["f", "f", "f", "m"], "n": [0, 1, 2, 3]})
    found = suppress_to_k(table, ["zip", "sex"], 3, local=["zip"])
    # With zip blank the three f are one class; the m stays alone and is left out.
    assert found.table.to_pydict() == {"zip": [None] * 3, "sex": ["f"] * 3, "n": [0, 1, 2]}
    assert (found.rows, found.cells, found.classes) == (1, {"zip": 3}, 4)


@given(naive.tables(), st.integers(1, 5), st.permutations(["q0", "q1", "q2"]))
def test_the_result_always_has_k(table: dict[str, list[object]], k: int, local: list[str]) -> None:
    quasi = ["q0", "q1", "q2"]
    arrow = pa.table(table)
    whole = suppress_to_k(arrow, quasi, k)
    partly = suppress_to_k(arrow, quasi, k, local=local)
    assert partly.rows <= whole.rows
    for found in (whole, partly):
        assert found.table.num_rows + found.rows == arrow.num_rows
        if found.table.num_rows:
            assert group(found.table, quasi).sizes.min() >= k
    before = sum(column.null_count for column in partly.table.columns)
    assert before >= sum(partly.cells.values())
    # Rows that were in no small class are untouched.
    keep = (lambda c: c.sizes[c.codes] >= k)(group(arrow, quasi))
    untouched = [r for r, flag in zip(naive.rows_of(table, quasi), keep, strict=True) if flag]
    remaining = naive.rows_of(partly.table.to_pydict(), quasi)
    assert all(remaining.count(row) >= untouched.count(row) for row in set(untouched))


def test_a_dictionary_column_can_be_blanked() -> None:
    table = pa.table({"a": pa.array(["x", "y"]).dictionary_encode(), "b": ["1", "1"]})
    found = suppress_to_k(table, ["a", "b"], 2, local=["a"])
    assert found.table.column("a").to_pylist() == [None, None]
