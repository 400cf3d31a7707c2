"""Slow, literal reference implementations: one loop per line of a definition."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations

from hypothesis import strategies as st

Row = tuple[object, ...]


def tables(columns: int = 3, most: int = 25) -> st.SearchStrategy[dict[str, list[object]]]:
    """Small tables of few values (so that classes form), with missing cells."""
    cell = st.sampled_from(["a", "b", "c", None])
    row = st.tuples(*[cell] * columns)
    return st.lists(row, min_size=1, max_size=most).map(
        lambda rows: {f"q{i}": [one[i] for one in rows] for i in range(columns)}
    )


def rows_of(table: dict[str, list[object]], columns: list[str]) -> list[Row]:
    return list(zip(*[table[name] for name in columns], strict=True))


def classes_of(rows: list[Row]) -> dict[Row, list[int]]:
    found: dict[Row, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        found[row].append(index)
    return dict(found)


def per_class(rows: list[Row], values: list[object]) -> list[Counter[object]]:
    return [Counter(values[i] for i in members) for members in classes_of(rows).values()]


def entropy_l(groups: list[Counter[object]]) -> float:
    def entropy(group: Counter[object]) -> float:
        total = sum(group.values())
        return -sum(n / total * math.log(n / total) for n in group.values())

    return min(math.exp(entropy(group)) for group in groups)


def recursive_c(groups: list[Counter[object]], l: int) -> float:  # noqa: E741
    worst = 0.0
    for group in groups:
        counts = sorted(group.values(), reverse=True)
        tail = sum(counts[l - 1 :])
        worst = max(worst, counts[0] / tail if tail else math.inf)
    return worst


def recursive_l(groups: list[Counter[object]], c: float) -> int:
    def of(group: Counter[object]) -> int:
        counts = sorted(group.values(), reverse=True)
        return max(
            [1] + [l for l in range(2, len(counts) + 1) if counts[0] < c * sum(counts[l - 1 :])]  # noqa: E741
        )

    return min(of(group) for group in groups)


def shares(groups: list[Counter[object]]) -> tuple[list[object], dict[object, Fraction]]:
    whole: Counter[object] = sum(groups, Counter())
    total = sum(whole.values())
    # A missing value comes last in order.
    order = sorted(whole, key=lambda v: (v is None, v if v is not None else 0))  # type: ignore[arg-type, return-value]
    return order, {value: Fraction(n, total) for value, n in whole.items()}


def emd(groups: list[Counter[object]], ordered: bool) -> Fraction:
    order, expected = shares(groups)
    worst = Fraction(0)
    for group in groups:
        size = sum(group.values())
        gaps = [Fraction(group[value], size) - expected[value] for value in order]
        if ordered:
            running, total = Fraction(0), Fraction(0)
            for gap in gaps:
                running += gap
                total += abs(running)
            distance = total / (len(order) - 1) if len(order) > 1 else Fraction(0)
        else:
            distance = sum((abs(gap) for gap in gaps), Fraction(0)) / 2
        worst = max(worst, distance)
    return worst


def delta(groups: list[Counter[object]]) -> float:
    _, expected = shares(groups)
    return max(
        abs(math.log(Fraction(n, sum(group.values())) / expected[value]))
        for group in groups
        for value, n in group.items()
    )


def beta(groups: list[Counter[object]]) -> Fraction:
    _, expected = shares(groups)
    return max(
        (Fraction(group[value], sum(group.values())) - p) / p
        for group in groups
        for value, p in expected.items()
    )


def separation(rows: list[Row]) -> float:
    pairs = list(combinations(rows, 2))
    return sum(a != b for a, b in pairs) / len(pairs) if pairs else 1.0


def minimal_uniques(rows: list[Row]) -> list[list[tuple[int, ...]]]:
    """Per row, every minimal set of columns in which it is alone (missing cells excluded)."""
    width = len(rows[0])
    result: list[list[tuple[int, ...]]] = []
    for row in rows:
        found: list[tuple[int, ...]] = []
        for size in range(1, width + 1):
            for columns in combinations(range(width), size):
                own = tuple(row[c] for c in columns)
                if None in own or any(set(one) <= set(columns) for one in found):
                    continue
                if sum(tuple(other[c] for c in columns) == own for other in rows) == 1:
                    found.append(columns)
        result.append(found)
    return result


def wildcard(rows: list[Row], weights: list[float]) -> tuple[list[int], list[float]]:
    def match(one: Row, other: Row) -> bool:
        return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))

    hits = [[j for j, other in enumerate(rows) if match(row, other)] for row in rows]
    return [len(one) for one in hits], [sum(weights[j] for j in one) for one in hits]
