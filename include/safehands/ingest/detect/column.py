"""One column's sample: which kind its cells are, how sure that is, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.detect.kinds import PHONES, Detector, Words, detectors
from safehands.ingest.detect.patterns import patterns
from safehands.policy import CodeList

__all__ = ["Seen", "look", "share_of", "words_of"]

_Z = 1.645
"""One-sided 95 % of the normal distribution."""


@dataclass(frozen=True)
class Seen:
    """What a sample says. ``kind``: one of ``KINDS``, or ``empty``.

    ``share`` of the filled cells are of that kind (all kinds of phone count as one another);
    ``confidence`` is the lower bound of its Wilson interval (95 %, one-sided), so that three
    cells say less than three hundred. ``shares`` has every kind that occurs. ``patterns`` are
    masked shapes with their shares, without any value.
    """

    kind: str
    share: float
    confidence: float
    cells: int
    distinct: int
    shares: Mapping[str, float]
    patterns: tuple[tuple[str, float], ...]


def words_of(codes: Mapping[str, CodeList]) -> Words:
    """Return the words that tell closed lists apart; bare numbers say nothing."""
    lists = {
        "carrier": ("carrier",),
        "status": ("status",),
        "choice": ("notify_channel", "delivery_choice", "time_window"),
        "flag": ("flag",),
    }
    found: dict[str, frozenset[str]] = {}
    for kind, names in lists.items():
        words = {w for name in names if name in codes for w in codes[name].by_word}
        found[kind] = frozenset(w for w in words if not w.isdecimal())
    return found


@lru_cache(maxsize=8)
def _detectors(words: tuple[tuple[str, frozenset[str]], ...]) -> Mapping[str, Detector]:
    return MappingProxyType(detectors(dict(words)))


def look(cells: Sequence[str] | pa.Array, words: Words) -> Seen:
    """Look at a column's sampled cells: a few hundred, as texts; empty ones don't count."""
    tidy = _tidy(cells)
    if not len(tidy):
        return Seen("empty", 0.0, 0.0, 0, 0, {}, ())
    counts = _counted(tidy, words)
    total = len(tidy)
    shares = {kind: count / total for kind, count in counts.items()}
    kind, hits = _leading(counts)
    share = hits / total
    distinct = len(tidy.unique())
    seen = patterns(tidy.to_pylist())
    return Seen(kind, share, _wilson(hits, total), total, distinct, shares, seen)


def share_of(cells: Sequence[str] | pa.Array, kinds: Sequence[str], words: Words) -> float:
    """Return the share of the filled cells that any detector of ``kinds`` takes; 1 for no cells."""
    tidy = _tidy(cells)
    if not len(tidy):
        return 1.0
    known, taken = _detectors(tuple(sorted(words.items()))), pa.repeat(pa.scalar(False), len(tidy))
    for kind in kinds:
        taken = pc.or_(taken, known[kind](tidy))
    return float((pc.sum(taken).as_py() or 0) / len(tidy))


_NOTHING = r"(?i)^(?:null|nan|none|n/a|\\n|无|/|-+|#n/a)$"


def _tidy(cells: Sequence[str] | pa.Array) -> pa.Array:
    column = cells if isinstance(cells, pa.Array) else pa.array(cells, pa.string())
    plain = pc.utf8_normalize(column.drop_null(), form="NFKC")
    plain = pc.replace_substring_regex(
        plain, r"""^[\s'"=`\x{200b}\x{feff}]+|[\s'"\x{200b}]+$""", ""
    )
    empty = pc.or_(pc.equal(plain, ""), pc.match_substring_regex(plain, _NOTHING))
    return plain.filter(pc.invert(empty))


def _counted(tidy: pa.Array, words: Words) -> dict[str, int]:
    """Return how many cells each kind takes: a cell is the first kind that takes it."""
    left = tidy
    counts: dict[str, int] = {}
    for kind, detect in _detectors(tuple(sorted(words.items()))).items():
        if not len(left):
            return counts
        taken = detect(left)
        hits = pc.sum(taken).as_py() or 0
        if hits:
            counts[kind] = hits
            left = left.filter(pc.invert(taken))
    return {**counts, "text": len(left)} if len(left) else counts


def _leading(counts: Mapping[str, int]) -> tuple[str, int]:
    """Return the kind with most cells; whole, masked and fixed-line phones stand together."""
    phones = sum(counts.get(kind, 0) for kind in PHONES)
    best = max(counts, key=lambda kind: counts[kind])
    if phones >= counts[best] and phones:
        first = max(PHONES, key=lambda kind: counts.get(kind, 0))
        return first, phones
    numbers = counts.get("number", 0) + counts.get("count", 0) + counts.get("serial", 0)
    if numbers > counts[best]:
        whole = counts.get("count", 0) > numbers / 2
        return ("count" if whole else "number"), numbers
    return best, counts[best]


def _wilson(hits: int, total: int) -> float:
    """Return the lower bound of the Wilson score interval (Wilson 1927)."""
    share, z2 = hits / total, _Z * _Z / total
    centre = share + z2 / 2
    spread = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total))
    return max(0.0, (centre - spread) / (1 + z2))
