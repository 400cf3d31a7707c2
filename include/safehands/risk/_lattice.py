"""Class counts of every combination of quasi-identifiers, from the classes of all of them.

Combinations with many thinkable values are counted by sorting: with the columns of a chain
S₁ ⊃ S₂ ⊃ … packed into one whole number in the right order, one sort serves the whole chain,
because each member is a prefix of the number. Small combinations are arrays of counts, and a
column leaves by summing over its axis.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from safehands.risk._columns import Bools, Ints
from safehands.risk.classes import Classes, combine, distinct_keys

__all__ = ["Tally", "tallies"]

Members: TypeAlias = tuple[int, ...]
Tally: TypeAlias = tuple[Members, int, int]
"""Columns (ascending indices), number of classes, sum of the squared class sizes."""

_DENSE_BITS = 22
"""Up to 2²² thinkable combinations, 32 MB of counts, an array beats sorting."""

_WORD = 63

_WORKERS = 2
"""Threads. Each needs about 50 bytes per row, which is why there are not more."""


def tallies(classes: Classes) -> list[Tally]:
    """Return a tally for each of the 2ⁿ - 1 combinations, in no particular order."""
    bits = [max(1, (radix - 1).bit_length()) for radix in classes.radices]
    chains = _chains(bits)
    small = [_width(chain[-1], bits) <= _DENSE_BITS for chain in chains]
    ends = [set(chain[-1]) if ok else set() for chain, ok in zip(chains, small, strict=True)]

    def work(place: int) -> list[Tally]:
        return list(_along(classes, chains[place], bits, ends[:place]))

    # NumPy works outside the interpreter's lock, so a second thread nearly halves the time.
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [tally for part in pool.map(work, range(len(chains))) for tally in part]


def _along(
    classes: Classes, chain: list[Members], bits: list[int], earlier: list[set[int]]
) -> Iterator[Tally]:
    """Yield a chain's tallies, and those below its end that no ``earlier`` end covers."""
    small = _width(chain[-1], bits) <= _DENSE_BITS
    cells = None
    if _width(chain[0], bits) > _WORD:
        yield from (_by_hashing(classes, members) for members in chain[: -1 if small else None])
    elif len(chain) > 1 or not small:
        cells = yield from _by_sorting(classes, chain, bits)
    if not small:
        return
    order = _order(chain)[: len(chain[-1])]
    if cells is None:
        cells = _cells(classes, order, bits)
    yield _tally(chain[-1], cells[cells > 0])
    yield from _rolled(cells, order, earlier, set())


def _tally(members: Members, sizes: Ints) -> Tally:
    return members, len(sizes), int(np.dot(sizes, sizes))


def _width(members: Members, bits: list[int]) -> int:
    return sum(bits[index] for index in members)


def _chains(bits: list[int]) -> list[list[Members]]:
    """Cover the combinations that are not small, and the largest small ones, with chains.

    Each member has one column less than the one before it; a small combination ends its chain.
    """
    open_ones = _to_sort(bits)
    chains = []
    for start in sorted(open_ones, key=lambda one: (-len(one), one)):
        if start not in open_ones:
            continue
        chain = [start]
        open_ones.remove(start)
        while _width(chain[-1], bits) > _DENSE_BITS:
            below = [one for one in combinations(chain[-1], len(chain[-1]) - 1) if one in open_ones]
            if not below:
                break
            chain.append(below[0])
            open_ones.remove(below[0])
        chains.append(chain)
    return chains


def _to_sort(bits: list[int]) -> set[Members]:
    every = range(len(bits))
    found = set()
    for size in range(1, len(bits) + 1):
        for members in combinations(every, size):
            width = _width(members, bits)
            more = [bits[index] for index in every if index not in members]
            if width > _DENSE_BITS or all(width + extra > _DENSE_BITS for extra in more):
                found.add(members)
    return found


def _order(chain: list[Members]) -> Members:
    """Return the columns of a chain from high to low: what leaves first is lowest."""
    order = list(chain[-1])
    for smaller, larger in zip(chain[:0:-1], chain[-2::-1], strict=True):
        order += [index for index in larger if index not in smaller]
    return tuple(order)


def _by_sorting(
    classes: Classes, chain: list[Members], bits: list[int]
) -> Generator[Tally, None, Ints | None]:
    """Yield the members that are not small; return the counts of the last one if it is."""
    order = _order(chain)
    keys, total = _sorted_keys(classes, order, bits)
    change = keys[1:] ^ keys[:-1]
    whole = _width(chain[0], bits)
    for members in chain:
        low = whole - _width(members, bits)
        small = _width(members, bits) <= _DENSE_BITS
        parts = change >= change.dtype.type(1 << low)
        found = int(np.count_nonzero(parts)) + 1
        if total is None and not small and 2 * found > len(keys):
            yield members, found, len(keys) + _extra_squares(parts)
            continue
        last = np.append(np.flatnonzero(parts), len(keys) - 1)
        ends = last + 1 if total is None else total[last]
        ends[1:] -= ends[:-1].copy()
        if small:
            return _scattered(keys, last, ends, low, _shape(order[: len(members)], bits))
        yield _tally(members, ends)
    return None


def _extra_squares(parts: Bools) -> int:
    """Return the sum of size² - size over the runs of equal keys, where most are of one row.

    A run of r + 1 rows has r neighbours that do not part.
    """
    same = np.flatnonzero(~parts)
    if len(same) == 0:
        return 0
    breaks = np.flatnonzero(np.diff(same) > 1)
    runs = np.diff(breaks, prepend=-1, append=len(same) - 1)
    return int(np.dot(runs, runs)) + len(same)


def _scattered(keys: Any, last: Ints, sizes: Ints, low: int, shape: list[int]) -> Ints:
    cells = np.zeros(math.prod(shape), dtype=np.int64)
    cells[keys[last] >> keys.dtype.type(low)] = sizes
    return cells.reshape(shape)


def _shape(order: Members, bits: list[int]) -> list[int]:
    return [1 << bits[index] for index in order]


def _sorted_keys(classes: Classes, order: Members, bits: list[int]) -> tuple[Any, Ints | None]:
    """Return the packed keys ascending, and the running number of rows (``None``: a row each)."""
    width = _width(order, bits)
    if classes.records <= 2 * len(classes):
        # Sorting rows needs no counts beside the keys, which are only half as long up to 32 bits.
        keys = np.repeat(_packed(classes, order, bits, 0), classes.sizes)
        keys.sort()
        return keys, None
    count_bits = int(classes.sizes.max()).bit_length()
    if width + count_bits <= _WORD:
        keys = _packed(classes, order, bits, count_bits) | classes.sizes.astype(np.uint64)
        keys.sort()
        counts = keys & np.uint64((1 << count_bits) - 1)
        return keys >> np.uint64(count_bits), np.cumsum(counts.astype(np.int64))
    keys = _packed(classes, order, bits, 0)
    by_key = np.argsort(keys)
    return keys[by_key], np.cumsum(classes.sizes[by_key])


def _packed(classes: Classes, order: Members, bits: list[int], low: int) -> Any:
    """Return the columns as one number per class, the first column highest, ``low`` bits free."""
    kind = np.uint32 if _width(order, bits) <= 32 and not low else np.uint64
    keys: Any = classes.tuples[order[0]].astype(kind)
    for index in order[1:]:
        keys <<= kind(bits[index])
        # Codes are never negative, so that their bits may be read as they are.
        np.bitwise_or(keys, classes.tuples[index].view(np.uint32), out=keys)
    keys <<= kind(low)
    return keys


def _cells(classes: Classes, order: Members, bits: list[int]) -> Ints:
    keys = np.zeros(len(classes), dtype=np.int64)
    for index in order:
        keys = (keys << bits[index]) | classes.tuples[index]
    # Counts stay below 2**53, where sums of whole numbers in floating point are exact.
    cells = np.bincount(keys, classes.sizes, 1 << _width(order, bits)).astype(np.int64)
    return cells.reshape(_shape(order, bits))


def _rolled(
    cells: Ints, order: Members, earlier: list[set[int]], done: set[Members]
) -> Iterator[Tally]:
    """Yield the tallies below ``order``; depth first, so that few arrays are held at a time."""
    for place in range(len(order)):
        rest = order[:place] + order[place + 1 :]
        members = tuple(sorted(rest))
        if not rest or members in done or any(one.issuperset(rest) for one in earlier):
            continue
        done.add(members)
        fewer = cells.sum(axis=place)
        yield _tally(members, fewer[fewer > 0])
        yield from _rolled(fewer, rest, earlier, done)


def _by_hashing(classes: Classes, members: Members) -> Tally:
    """Count one combination whose packed key would not fit into one word."""
    columns = [classes.tuples[index] for index in members]
    codes, found = distinct_keys(*combine(columns, [classes.radices[i] for i in members]))
    sizes = np.bincount(codes, classes.sizes, found).astype(np.int64)
    return _tally(members, sizes)
