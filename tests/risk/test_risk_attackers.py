"""Prosecutor, journalist, marketer: arithmetic by hand, brute force, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import PolicyError
from safehands.risk import attackers
from safehands.risk.classes import Classes, group


def _classes(*sizes: int) -> Classes:
    return group({"q": np.repeat(np.arange(len(sizes)), sizes)}, ["q"])


def test_prosecutor_by_hand() -> None:
    # Ten records in classes of 1, 1, 2, 6: risks 1, 1, 1/2, 1/6.
    risk = attackers.prosecutor(_classes(1, 1, 2, 6), threshold=0.2)
    assert (risk.lowest, risk.highest) == (1 / 6, 1.0)
    assert risk.average == risk.success_rate == pytest.approx(4 / 10, rel=1e-15)
    assert (risk.records_at_lowest, risk.records_at_highest) == (6, 2)
    assert (risk.share_at_lowest, risk.share_at_highest) == (0.6, 0.2)
    # Above 0.2 are the records of the classes of 1, 1 and 2.
    assert risk.share_above_threshold == 0.4


def test_a_risk_equal_to_the_threshold_is_not_above_it() -> None:
    assert attackers.prosecutor(_classes(5, 5), threshold=0.2).share_above_threshold == 0.0
    assert attackers.prosecutor(_classes(4, 5), threshold=0.2).share_above_threshold == 4 / 9


def test_journalist_by_hand() -> None:
    # f = 1, 2, 3 of F = 10, 4, 6: risks 1/10, 1/4, 1/6.
    risk = attackers.journalist(_classes(1, 2, 3), np.array([10, 4, 6]), threshold=0.2)
    assert (risk.lowest, risk.highest) == (0.1, 0.25)
    # (1/10 + 2/4 + 3/6)/6 = 1.1/6 = 0.18333; 3 classes / 20 people = 0.15.
    assert risk.average == pytest.approx(1.1 / 6, rel=1e-15)
    assert risk.success_rate == pytest.approx(1.1 / 6, rel=1e-15)
    assert (risk.records_at_lowest, risk.records_at_highest) == (1, 2)
    assert risk.share_above_threshold == pytest.approx(2 / 6)


def test_journalist_success_takes_the_greater_of_the_two_rates() -> None:
    # f = 1, 9 of F = 9, 10: mean risk (1/9 + 9/10)/10 = 0.1011, below 2 classes / 19 people.
    risk = attackers.journalist(_classes(1, 9), np.array([9, 10]))
    assert risk.average == pytest.approx((1 / 9 + 9 / 10) / 10, rel=1e-14)
    assert risk.success_rate == pytest.approx(2 / 19, rel=1e-14)


def test_marketer_by_hand() -> None:
    assert attackers.marketer(_classes(1, 2, 3), np.array([10, 4, 6])) == pytest.approx(1.1 / 6)
    assert attackers.marketer(_classes(1, 1, 2, 6)) == 0.4


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.floats(0, 1))
def test_without_a_population_all_three_agree(sizes: list[int], threshold: float) -> None:
    classes = _classes(*sizes)
    prosecutor = attackers.prosecutor(classes, threshold)
    assert attackers.journalist(classes, classes.sizes, threshold) == prosecutor
    assert attackers.marketer(classes) == pytest.approx(prosecutor.success_rate, rel=1e-12)
    assert prosecutor.lowest <= prosecutor.average * (1 + 1e-12) <= prosecutor.highest * (1 + 1e-9)
    risks = [1 / size for size in sizes for _ in range(size)]
    assert prosecutor.average == pytest.approx(sum(risks) / len(risks), rel=1e-12)
    expected = sum(risk > threshold for risk in risks) / len(risks)
    assert prosecutor.share_above_threshold == pytest.approx(expected, rel=1e-12)


@given(naive.tables(columns=2), naive.tables(columns=2))
def test_population_sizes_are_counts_of_equal_rows(
    sample: dict[str, list[object]], others: dict[str, list[object]]
) -> None:
    columns = ["q0", "q1"]
    register = {name: sample[name] + others[name] for name in columns}
    classes = group(pa.table(sample), columns)
    found = attackers.population_sizes(pa.table(sample), pa.table(register), columns)
    everybody = naive.rows_of(register, columns)
    for row, code in zip(naive.rows_of(sample, columns), classes.codes, strict=True):
        assert found[code] == everybody.count(row)


def test_a_register_may_encode_its_text_and_numbers_otherwise() -> None:
    sample = pa.table({"a": pa.array(["x", "y"]), "b": pa.array([1, 2], pa.int8())})
    register = pa.table(
        {
            "a": pa.array(["x", "y", "y", "z"], pa.large_string()).dictionary_encode(),
            "b": pa.array([1, 2, 2, 9], pa.int64()),
        }
    )
    assert attackers.population_sizes(sample, register, ["a", "b"]).tolist() == [1, 2]


def test_a_register_of_other_types_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        attackers.population_sizes(pa.table({"a": ["x"]}), pa.table({"a": [1]}), ["a"])
    assert caught.value.key == "risk.other_types"


def test_a_register_that_misses_sampled_people_is_refused() -> None:
    sample, register = pa.table({"a": ["x", "x", "y"]}), pa.table({"a": ["x", "z"]})
    found = attackers.population_sizes(sample, register, ["a"])
    assert found.tolist() == [1, 0]
    with pytest.raises(PolicyError) as caught:
        attackers.journalist(group(sample, ["a"]), found)
    assert (caught.value.key, caught.value.params) == ("risk.population_too_small", {"count": 2})


def test_estimated_populations() -> None:
    classes = _classes(1, 3)
    weights = np.array([2.0, 1.5, 1.5, 4.0])
    assert attackers.weighted_sizes(classes, weights).tolist() == [2.0, 7.0]
    # Four records of forty people: each stands for ten.
    assert attackers.expanded_sizes(classes, 40).tolist() == [10.0, 30.0]


def test_what_is_out_of_range_is_refused() -> None:
    classes = _classes(2, 2)
    for call in (
        lambda: attackers.prosecutor(classes, 1.5),
        lambda: attackers.journalist(classes, np.array([2])),
        lambda: attackers.journalist(classes, np.array([2.0, np.nan])),
        lambda: attackers.weighted_sizes(classes, np.ones(3)),
        lambda: attackers.expanded_sizes(classes, 3),
    ):
        with pytest.raises(PolicyError):
            call()
