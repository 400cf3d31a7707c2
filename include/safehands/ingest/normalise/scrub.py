"""Free text without phones, ID numbers, addresses and names.

Rules, not a model: each kind has a pattern or a check that decides, and what looks alike (waybill
numbers, pick-up codes, prices, dates, shelves) is taken out of their reach first. Names are
candidates from the list of surnames, weighed by what stands around them. The figures are in
``docs/concepts/mapping.md``; no scrubber finds everything, so what is scrubbed is still personal.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.normalise.addresses import short_names
from safehands.ingest.normalise.free_names import names_in
from safehands.ingest.normalise.scrub_numbers import harmless, id_numbers, phones
from safehands.ingest.normalise.scrub_places import Places

__all__ = ["MARKS", "Scrubbed", "Scrubber", "Span", "scrubber_of"]

_GONE = "\ufffc"
"""Stands for a character that was found already; it is part of no address."""

MARKS = {"id_number": "〔证件〕", "phone": "〔电话〕", "address": "〔地址〕", "name": "〔姓名〕"}
"""What stands in the text where something was taken out."""


@dataclass(frozen=True)
class Span:
    """A part of a text: ``kind`` is a key of ``MARKS``; half open, in characters after NFKC."""

    start: int
    end: int
    kind: str

    def meets(self, others: Iterable[Span]) -> bool:
        """Say whether any of ``others`` shares a character with this."""
        return any(self.start < other.end and other.start < self.end for other in others)


@dataclass(frozen=True)
class Scrubbed:
    """A text without its personal parts, and how many of each kind were taken out."""

    text: str
    counts: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Scrubbed(counts={self.counts})"


class Scrubber:
    """Takes personal parts out of texts. Made from policy's divisions (see ``Divisions``)."""

    def __init__(self, rows: Iterable[tuple[int, str, str, str]]) -> None:
        self._places = Places(*short_names(rows))

    def scrub(self, text: str) -> Scrubbed:
        """Take phones, ID numbers, addresses and names out of one text."""
        plain = unicodedata.normalize("NFKC", text)
        spans = self.spans(plain)
        if not spans:
            return Scrubbed(text)
        parts, at = [], 0
        for span in spans:
            parts += [plain[at : span.start], MARKS[span.kind]]
            at = span.end
        counts = Counter(span.kind for span in spans)
        return Scrubbed("".join([*parts, plain[at:]]), dict(counts))

    def spans(self, plain: str) -> list[Span]:
        """Return what has to go, in order, without overlap; ``plain`` is NFKC already."""
        found = _numbers(plain) if _NUMERIC.search(plain) else []
        rest = plain
        for span in found:
            gone = _GONE * (span.end - span.start)
            rest = rest[: span.start] + gone + rest[span.end :]
        for start, end in self._places.find(rest):
            span = Span(start, end, "address")
            if not span.meets(found):
                found.append(span)
        names = names_in(plain, [(span.start, span.end) for span in found])
        found += [Span(start, end, "name") for start, end in names]
        return sorted(found, key=lambda span: span.start)

    def texts(self, texts: pa.Array) -> tuple[pa.Array, dict[str, int]]:
        """Scrub an array of distinct texts, or null.

        Returns it, and how many parts of each kind were taken out.
        """
        doubtful = pc.fill_null(pc.match_substring_regex(texts, _DOUBTFUL), False)
        if not pc.any(doubtful).as_py():
            return texts, {}
        found = [self.scrub(text) for text in texts.filter(doubtful).to_pylist()]
        counts: Counter[str] = Counter()
        for one in found:
            counts.update(one.counts)
        clean = pa.array([one.text for one in found], pa.string())
        return pc.replace_with_mask(texts, doubtful, clean), dict(counts)

    def column(self, column: pa.Array) -> tuple[pa.Array, dict[str, int]]:
        """Scrub a column of texts; each distinct text is looked at, and counted, once."""
        encoded = column.dictionary_encode()
        clean, counts = self.texts(encoded.dictionary)
        return clean.take(encoded.indices), counts


# Without two digits in a row, or digits spelt out, there is no number to look for.
_NUMERIC = re.compile(r"\d\W?\d|[零〇一二三四五六七八九幺]{5}|[lI][3-9]")


def _numbers(plain: str) -> list[Span]:
    """Return ID numbers and phones; what is harmless stays, unless it is an ID number."""
    found: list[Span] = []
    blocked = [Span(start, end, "harmless") for start, end in harmless(plain)]
    for start, end in id_numbers(plain):
        span = Span(start, end, "id_number")
        if not span.meets(found):
            found.append(span)
    for start, end in phones(plain):
        span = Span(start, end, "phone")
        if not span.meets(blocked) and not span.meets(found):
            found.append(span)
    return found


@lru_cache(maxsize=2)
def scrubber_of(rows: tuple[tuple[int, str, str, str], ...]) -> Scrubber:
    """Return the scrubber of policy's divisions, made once per process."""
    return Scrubber(rows)


# Neither two characters beyond ASCII, nor four digits, nor two capitalised words: nothing to find.
_DOUBTFUL = r"[^\x00-\x7f]{2}|\d[\d\s._-]{2,}\d|[A-Z][a-z]+ [A-Z]|Mr|Ms|Dr|Miss"
