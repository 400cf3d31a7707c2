"""Invented people: names, mobile numbers, addresses, ID numbers with a valid check digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safehands.sample.words import (
    COMPOUND_SURNAMES,
    COMPOUNDS,
    FIRST,
    MINORITY_NAMES,
    PREFIXES,
    SECOND,
    STREET_ENDINGS,
    STREETS,
    SURNAMES,
    District,
)

__all__ = ["Ints", "People", "Rng", "digits", "glue", "id_number", "make_people", "pick", "stream"]

Rng = np.random.Generator
Ints = npt.NDArray[np.int64]

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"


@dataclass(frozen=True)
class People:
    """Arrow string columns of equal length, one entry per person; phones are distinct.

    ``relative`` is the name of somebody of the same surname who has parcels sent to this phone.
    ``area`` (int64) is the GB/T 2260 code of the person's district.
    """

    name: pa.Array
    relative: pa.Array
    phone: pa.Array
    address: pa.Array
    area: Ints

    def __len__(self) -> int:
        return len(self.phone)


def stream(*parts: int) -> Rng:
    """Return a random generator of its own for these numbers (a seed, a station, a day …)."""
    return np.random.default_rng(parts)


def make_people(rng: Rng, homes: Sequence[tuple[int, Sequence[District]]]) -> People:
    """Make people for each (how many, districts); the first district is home to four fifths."""
    parts = [_addresses(rng, count, districts) for count, districts in homes]
    count = sum(count for count, _ in homes)
    surname, plain = _surnames(rng, count)
    return People(
        name=_minority(rng, glue(surname, _given(rng, count)), plain),
        relative=glue(surname, _given(rng, count)),
        phone=_phones(rng, count),
        address=pa.concat_arrays([address for address, _ in parts]),
        area=np.concatenate([area for _, area in parts]),
    )


def _surnames(rng: Rng, count: int) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    words = [*SURNAMES, *COMPOUND_SURNAMES]
    weights = np.array([*SURNAMES.values(), *[2] * len(COMPOUND_SURNAMES)], dtype=float)
    index = rng.choice(len(words), count, p=weights / weights.sum())
    return pick(words, index), index < len(SURNAMES)


def _given(rng: Rng, count: int) -> pa.Array:
    first = pick(FIRST, rng.integers(len(FIRST), size=count))
    second = pick(SECOND, rng.integers(len(SECOND), size=count))
    return pc.if_else(pa.array(rng.random(count) < 0.2), first, glue(first, second))


def _minority(rng: Rng, names: pa.Array, plain: npt.NDArray[np.bool_]) -> pa.Array:
    full = pick(MINORITY_NAMES, rng.integers(len(MINORITY_NAMES), size=len(names)))
    return pc.if_else(pa.array(plain & (rng.random(len(names)) < 0.012)), full, names)


def _phones(rng: Rng, count: int) -> pa.Array:
    numbers = np.unique(rng.integers(len(PREFIXES) * 10**8, size=count + count // 100 + 10))
    numbers = rng.permutation(numbers)[:count]
    return glue(pick(PREFIXES, numbers // 10**8), digits(numbers % 10**8, 8))


def _addresses(rng: Rng, count: int, districts: Sequence[District]) -> tuple[pa.Array, Ints]:
    away = rng.integers(len(districts), size=count)
    at = np.where(rng.random(count) < 0.8, 0, away)
    fronts = [_fronts(district) for district in districts]
    front = pick([f for three in fronts for f in three], at * 3 + rng.integers(3, size=count))
    street = glue(_any(rng, STREETS, count), _any(rng, STREET_ENDINGS, count))
    house = glue(_number(rng, 1, 320, count), "号", _any(rng, COMPOUNDS, count))
    flat = glue(_number(rng, 1, 24, count), "栋", _number(rng, 1, 5, count), "单元")
    room = glue(_number(rng, 1, 33, count), "0", _number(rng, 1, 9, count))
    ending = pick(("室", "", "房"), rng.integers(3, size=count))
    codes = np.array([district[0] for district in districts], dtype=np.int64)
    return glue(front, street, house, flat, room, ending), codes[at]


def _fronts(district: District) -> tuple[str, str, str]:
    _, province, city, name = district
    return f"{province}{city}{name}", f"{city}{name}", f"{province} {city} {name} "


def _any(rng: Rng, words: Sequence[str], count: int) -> pa.Array:
    return pick(words, rng.integers(len(words), size=count))


def _number(rng: Rng, low: int, high: int, count: int) -> pa.Array:
    return pa.array(rng.integers(low, high, size=count)).cast(pa.string())


def pick(words: Sequence[str], index: Any) -> pa.Array:
    """Return ``words`` at the positions ``index``, as an Arrow column."""
    return pa.array(words, pa.string()).take(pa.array(index))


def glue(*parts: Any) -> pa.Array:
    """Join columns and constant texts row by row."""
    return pc.binary_join_element_wise(*parts, "")


def digits(numbers: Ints, width: int) -> pa.Array:
    """Return whole numbers as text of ``width`` digits with leading zeros."""
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def id_number(area: int, days: int, serial: int) -> str:
    """Return an 18-character resident ID number with its check digit (GB 11643-1999).

    ``days`` counts from 1950-01-01 to the date of birth; ``serial`` is below 1000.
    """
    born = date(1950, 1, 1) + timedelta(days=days)
    body = f"{area:06}{born:%Y%m%d}{serial:03}"
    total = sum(int(c) * w for c, w in zip(body, _ID_WEIGHTS, strict=True))
    return body + _ID_CHECK[total % 11]
