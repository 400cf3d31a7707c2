"""Reaching a target k: the result always has it, and no other levels would lose less."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given, settings
from hypothesis import strategies as st

from safehands.errors import BadInput, PolicyError, SafehandsError
from safehands.risk import generalise, group, reach_k
from safehands.risk.generalise import choose_levels
from safehands.risk.hierarchy import Hierarchy, from_labels, read_hierarchy
from safehands.risk.hierarchy_default import default_hierarchy, distinct_values

QUASI = ["q0", "q1", "q2"]


def _smallest(table: pa.Table, quasi: Sequence[str], person: str | None = None) -> int:
    rows = list(zip(*[table.column(name).to_pylist() for name in quasi], strict=True))
    if person is None:
        return min(Counter(rows).values())
    people = defaultdict(set)
    for place, (row, one) in enumerate(zip(rows, table.column(person).to_pylist(), strict=True)):
        people[row].add(("row", place) if one is None else one)
    return min(len(found) for found in people.values())


@given(
    table=naive.tables(most=40),
    k=st.integers(1, 8),
    limit=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    local=st.lists(st.sampled_from(QUASI), unique=True),
    generalised=st.booleans(),
    persons=st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, None]), min_size=40, max_size=40),
    by_person=st.booleans(),
)
@settings(deadline=None)
def test_the_result_always_has_the_k_asked_for(
    table: dict[str, list[object]],
    k: int,
    limit: float,
    local: list[str],
    generalised: bool,
    persons: list[int | None],
    by_person: bool,
) -> None:
    rows = len(table["q0"])
    arrow = pa.table({**table, "p": persons[:rows], "n": list(range(rows))})
    person = "p" if by_person else None
    known = persons[:rows]
    members = len({one for one in known if one}) + known.count(None) if by_person else rows
    settings_ = {"limit": limit, "local": local, "generalise": generalised, "person": person}
    if members < k:
        with pytest.raises(PolicyError) as caught:
            reach_k(arrow, QUASI, k, **settings_)  # type: ignore[arg-type]
        assert caught.value.key == "risk.too_few"
        return
    found = reach_k(arrow, QUASI, k, keep=["n", "p"], **settings_)  # type: ignore[arg-type]
    assert found.rows == rows == found.table.num_rows + found.left_out
    assert found.table.column_names == [*QUASI, "n", "p"]
    assert found.k_before == _smallest(arrow, QUASI, person)
    if found.table.num_rows:
        assert found.k == _smallest(found.table, QUASI, person) >= k
    if generalised:
        assert found.left_out <= limit * rows
        assert found.table.num_rows > 0 or limit == 1.0
    # Rows keep their order, and a cell is what it was, something coarser, or missing.
    assert found.table.column("n").to_pylist() == sorted(found.table.column("n").to_pylist())
    for name in QUASI:
        for row, cell in zip(
            found.table.column("n").to_pylist(), found.table.column(name).to_pylist(), strict=True
        ):
            assert cell in (table[name][row], "*", None)
    assert 0 <= found.loss <= 1


def _hierarchy(values: int) -> Hierarchy:
    """Pairs, then fours, then everything."""
    return from_labels(
        values, [[f"p{i // 2}" for i in range(values)], [f"f{i // 4}" for i in range(values)]], "q"
    )


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 7)] * 3), min_size=4, max_size=30),
    k=st.integers(1, 4),
    limit=st.sampled_from([0.0, 0.2, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_no_other_levels_lose_less(rows: list[tuple[int, int, int]], k: int, limit: float) -> None:
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(QUASI)})
    classes = group(table, QUASI)
    made = [_hierarchy(radix - 1) for radix in classes.radices]
    found = choose_levels(classes, made, k, limit=limit)
    assert found.optimal
    best = min(
        loss
        for levels in product(*[range(one.height + 1) for one in made])
        for below, loss in [_judge(classes.codes, classes.tuples, made, levels, k)]
        if below <= int(limit * len(rows))
    )
    assert found.loss == pytest.approx(best, abs=1e-12)


def _judge(
    codes: np.ndarray,
    tuples: Sequence[np.ndarray],
    made: Sequence[Hierarchy],
    levels: Sequence[int],
    k: int,
) -> tuple[int, float]:
    rows = [tuple(int(column[one]) for column in tuples) for one in codes]
    groups = [
        tuple(
            int(one.maps[level][code]) for one, level, code in zip(made, levels, row, strict=True)
        )
        for row in rows
    ]
    sizes = Counter(groups)
    lost = 0.0
    for row, joined in zip(rows, groups, strict=True):
        if sizes[joined] < k:
            lost += len(made)
            continue
        for one, level, code in zip(made, levels, row, strict=True):
            others = int((one.maps[level][1:] == one.maps[level][code]).sum())
            if len(one.maps[0]) > 2:
                lost += (others - 1) / (len(one.maps[0]) - 2)
    below = sum(sizes[one] < k for one in groups)
    return below, lost / (len(rows) * len(made))


def test_a_search_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generalise, "_WORK", 1)
    table = {name: np.arange(64) % (width + 3) for width, name in enumerate(QUASI)}
    found = reach_k(table, QUASI, 9)
    assert not found.optimal
    assert found.k >= 9


def test_by_hand() -> None:
    ages = [21, 23, 24, 31, 32, 33, 70]
    frame = pd.DataFrame({"age": ages, "sex": list("ffmffmf"), "ill": list("abcabca")})
    found = reach_k(frame, ["age"], 3, limit=0.2, keep=["ill"])
    # Intervals of 5 leave 20-24 and 30-34 with three each, and 70 alone; those of 10 are the same
    # groups, so the next level is everything.
    assert found.table.column("age").to_pylist() == ["20-24"] * 3 + ["30-34"] * 3
    assert found.levels == {"age": (1, 2)}
    assert (found.k_before, found.k, found.left_out, found.classes) == (1, 3, 1, 2)
    # Six cells in groups of three out of seven values lose 2/6 each; one row is lost whole.
    assert found.loss == pytest.approx((6 * 2 / 6 + 1) / 7)
    assert found.discernibility == 3 * 3 + 3 * 3 + 1 * 7
    assert found.table.column_names == ["age", "ill"]


def test_people_are_counted_not_parcels() -> None:
    frame = pd.DataFrame({"q": list("aaaabb"), "p": [1, 1, 1, 1, 2, 3]})
    assert reach_k(frame, ["q"], 2, generalise=False).left_out == 0
    found = reach_k(frame, ["q"], 2, generalise=False, person="p")
    assert (found.left_out, found.k, found.k_before) == (4, 2, 1)
    assert found.table.column_names == ["q"]


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        (pa.array([0, 7, 12, 49]), [["0-9", "0-9", "10-19", "40-49"]]),
        (pa.array([-3, 8]), [["-5--1", "5-9"], ["-10--1", "0-9"]]),
        (pa.array([0.1, 0.3, 0.31]), None),
        (pa.array(["110108", "110105", "310101"]), [["11010*"] * 2 + ["31010*"]]),
        (pa.array(["2024-01-02", "2024-02-03", "2025-02-03"]), [["2024", "2024", "2025"]]),
        (pa.array(["red", "green"]), []),
        (pa.array([True, False]), []),
    ],
)  # fmt: skip
def test_default_hierarchies(column: pa.Array, levels: list[list[str]] | None) -> None:
    table = pa.table({"q": column})
    values = distinct_values(table, "q")
    made = default_hierarchy(values, "q")
    codes = {value: place + 1 for place, value in enumerate(values.to_pylist())}
    written = [
        [made.labels[level][made.maps[level][codes[one]]] for one in column.to_pylist()]
        for level in range(1, made.height)
    ]
    for expected in levels or []:
        # A level that parts nothing new is left out.
        assert expected in written or len(set(expected)) == len(set(column.to_pylist()))
    if levels == []:
        assert made.height == 1
    assert made.labels[-1] == ("*",)


@given(
    st.lists(
        st.floats(-1e12, 1e12, allow_nan=False).map(lambda one: round(one, 3)),
        min_size=1, max_size=30, unique=True,
    )
)  # fmt: skip
def test_intervals_hold_their_numbers_and_nest(numbers: list[float]) -> None:
    values = distinct_values(pa.table({"q": numbers}), "q")
    made = default_hierarchy(values, "q")
    for before, after in zip(made.maps, made.maps[1:], strict=False):
        joined = defaultdict(set)
        for fine, coarse in zip(before.tolist(), after.tolist(), strict=True):
            joined[fine].add(coarse)
        assert all(len(one) == 1 for one in joined.values())
    for level in range(1, made.height):
        for place, number in enumerate(values.to_pylist()):
            label = made.labels[level][made.maps[level][place + 1]]
            assert label is not None
            low, high = (float(one) for one in label[1:-1].split(", "))
            assert low - 1e-6 * abs(low) <= number <= high + 1e-6 * abs(high)


def _file(folder: Path, text: str) -> Path:
    path = folder / "t_hierarchy_q.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_hierarchy_file_of_arx(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "81667;8166*;816**;*\n81675;8167*;816**;*\n81925;8192*;819**;*\n1;1;1;*\n"
    )
    made = read_hierarchy(path, ["81667", "81675", "81925"], "q")
    assert made.height == 2
    assert made.labels[1] == (None, "816**", "819**")
    assert made.maps[1].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "risk.hierarchy_unreadable"),
        ("a;x;*\nb;x\n", "risk.hierarchy_unreadable"),
        ("a\nb\n", "risk.hierarchy_unreadable"),
        ("a;x;*\n", "risk.hierarchy_incomplete"),
        ("a;x;1\nb;x;2\nc;y;2\n", "risk.hierarchy_not_nested"),
    ],
)
def test_a_hierarchy_file_that_does_not_do(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_hierarchy(_file(tmp_path, text), ["a", "b", "c"], "q")
    assert caught.value.key == key
    assert "b" not in caught.value.params.values()


def test_missing_values_stay_missing_until_everything_is_joined() -> None:
    table = {"q": np.array([1, 2, None, None, 40], dtype=object)}
    kept = reach_k(table, ["q"], 2, limit=0.5)
    assert kept.table.column("q").to_pylist() == ["0-4", "0-4", None, None]
    joined = reach_k(table, ["q"], 3, limit=0)
    assert joined.table.column("q").to_pylist() == ["*"] * 5


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"k": 0}, "risk.bad_parameter"),
        ({"limit": 1.5}, "risk.bad_parameter"),
        ({"local": ["n"]}, "risk.bad_parameter"),
        ({"keep": ["other"]}, "risk.unknown_column"),
        ({"hierarchies": {"n": default_hierarchy}}, "risk.hierarchy_for_nothing"),
        ({"k": 5}, "risk.too_few"),
    ],
)
def test_what_cannot_be_asked_for(wrong: dict[str, object], key: str) -> None:
    given_ = {"k": 2, **wrong}
    with pytest.raises(SafehandsError) as caught:
        reach_k({"q": np.arange(4), "n": np.arange(4)}, ["q"], **given_)  # type: ignore[arg-type]
    assert caught.value.key == key
