"""Where the table of anybody's file begins: titles, comments, header rows, or no header at all.

Nothing is known of what the columns should be called; a header is told from data by what stands
below it. ``find`` does the same for stations, whose wordings policy knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from safehands.ingest.shapes import is_blank, is_label, is_year, kind_of
from safehands.ingest.tables import Line, RawTable

__all__ = ["Layout", "find_layout"]

_TITLES = 40
_BODY = 200
_MOSTLY = 0.8
_PREFIXES = ("#", "//", "%", "--", "!", ";")


@dataclass(frozen=True)
class Layout:
    """``header``: position of the last header row in the table's ``head``, -1 for none.

    ``levels``: positions of all header rows; ``names``: one per column, empty where the header has
    none; ``titles``: numbers of the filled rows above; ``comments``: numbers of comment lines;
    ``prefix``: what comment lines begin with.
    """

    header: int
    levels: tuple[int, ...]
    names: tuple[str, ...]
    titles: tuple[int, ...]
    comments: tuple[int, ...] = ()
    prefix: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def width(self) -> int:
        """The number of cells of a record."""
        return len(self.names)


def find_layout(table: RawTable, text: bool, named: bool = False) -> Layout:
    """Find the table in the first records. ``text``: widths differ; ``named``: columns have names.

    A table without a single filled record has no columns.
    """
    head = table.head
    if named:
        return Layout(0, (0,), tuple(head[0].cells), ())
    filled = [i for i, line in enumerate(head) if not is_blank(line.cells)]
    if not filled:
        return Layout(-1, (), (), ())
    return _Finder(head, filled, text, table.info.get("merged", ())).layout()


class _Finder:
    def __init__(
        self, head: Sequence[Line], filled: list[int], text: bool, merged: Sequence[Sequence[int]]
    ) -> None:
        self.head, self.text, self.merged = head, text, merged
        self.width = _usual_width(head, filled) if text else max(len(head[i].cells) for i in filled)
        self.prefix, self.comments = self._find_comments(filled) if text else ("", [])
        self.lines = [i for i in filled if i not in self.comments] or filled
        if head[self.lines[0]].cells[0].lower().startswith("sep=") and len(self.lines) > 1:
            self.comments.append(self.lines.pop(0))

    def _find_comments(self, filled: list[int]) -> tuple[str, list[int]]:
        for prefix in _PREFIXES:
            marked = [i for i in filled if self.head[i].cells[0].lstrip().startswith(prefix)]
            first = [i for i in filled[: len(marked)] if i in marked]
            if not first or (first[0] != filled[0] and len(marked) < 2):
                continue
            odd = [i for i in marked if self._is_comment(i, prefix)]
            if odd and len(marked) < len(filled):
                return prefix, odd
        return "", []

    def _is_comment(self, index: int, prefix: str) -> bool:
        cells = self.head[index].cells
        if cells[0].strip() == prefix and len(cells) == self.width > 1:
            return False
        # A record of the table's width may be a header that begins with the sign.
        return len(cells) != self.width or self.width == 1 or (index > 0 and prefix != "#")

    def layout(self) -> Layout:
        start = self._start()
        lines = self.lines[self.lines.index(start) :]
        body = [self._cells(i) for i in lines[1:][:_BODY]]
        if not (self._has_corner(start) or self._is_header(self._cells(start), body)):
            titles = [i for i in self.lines if i < start]
            return self._made(start - 1, (), titles)
        last = self._further(start, lines[1:])
        levels = [*self._above(start), *range(start, last + 1)]
        levels = [i for i in levels if not is_blank(self.head[i].cells)]
        return self._made(last, tuple(levels), [i for i in self.lines if i < levels[0]])

    def _made(self, header: int, levels: tuple[int, ...], titles: list[int]) -> Layout:
        names, notes = self._names(levels)
        rows = tuple(self.head[i].row for i in titles)
        comments = tuple(self.head[i].row for i in self.comments)
        return Layout(header, levels, names, rows, comments, self.prefix, notes)

    def _cells(self, index: int) -> tuple[str, ...]:
        cells = self.head[index].cells
        return cells + ("",) * (self.width - len(cells))

    def _start(self) -> int:
        """Return the first row that is no title: one that fills most of the table's columns."""
        counts = {i: sum(map(bool, map(str.strip, self.head[i].cells))) for i in self.lines}
        usual = Counter(counts[i] for i in self.lines[1:] or self.lines)
        typical = max(usual, key=lambda n: (usual[n] * (n > 1), n))
        for position, i in enumerate(self.lines[:_TITLES]):
            if self.text and self._is_narrow(position):
                continue
            if counts[i] >= typical or self._has_corner(i) or counts[i] > max(1, typical // 2):
                return i
            later = self.lines[position + 1 : position + 1 + _TITLES]
            if not any(counts[j] > counts[i] for j in later):
                return i
        return self.lines[0]

    def _has_corner(self, index: int) -> bool:
        """Say whether a row names all columns but the first, which has the names of the rows."""
        first, *others = self._cells(index)
        below = [self.head[i].cells[0].strip() for i in self.lines if i > index][:_BODY]
        empty_corner = not first.strip() and bool(others) and all(map(str.strip, others))
        return empty_corner and len(set(others)) == len(others) and all(below)

    def _is_narrow(self, position: int) -> bool:
        """Say whether a row has too few cells for a header and records follow further down."""
        missing = self.width - len(self.head[self.lines[position]].cells)
        later = [self.head[i].cells for i in self.lines[position + 1 :]]
        if missing <= 0 or not any(len(cells) >= self.width for cells in later):
            return False
        if missing > 1 or len(later[0]) < self.width:
            return True
        # One cell short: R's header, if records follow at once, or a title above the header.
        return self._is_header(later[0], later[1:][:_BODY], sure=True)

    def _is_header(
        self, cells: tuple[str, ...], body: list[tuple[str, ...]], sure: bool = False
    ) -> bool:
        names = [cell.strip() for cell in cells if cell.strip()]
        if not body:
            return all(map(_is_word, names))
        # A header may be repeated on every printed page.
        body = [row for row in body if row != cells] or body
        years = sum(map(is_year, names))
        votes = [
            _vote(cell, [row[i] for row in body if i < len(row)], years >= 2)
            for i, cell in enumerate(cells)
        ]
        score = sum(votes) + 1.5 * any(map(is_label, names))
        score -= 0.5 * (len(set(names)) < len(names) and not self.merged)
        if self.width == 1 and score == 0:
            return _differs(names[0], [row[0] for row in body])
        if not any(map(_is_word, names)) and years < 2:
            score -= 1
        return score > 0 if sure else score >= 0

    def _further(self, start: int, lines: list[int]) -> int:
        """Return the last header row: rows of words above columns that are no words."""
        last = start
        for position, i in enumerate(lines[:2]):
            below = [self._cells(j) for j in lines[position + 1 :][:_BODY]]
            adjoining = self._spans_down(last, i) or (
                i == last + 1 and self._continues(self._cells(last), self._cells(i), below)
            )
            if not adjoining or not below:
                break
            last = i
        return last

    def _spans_down(self, last: int, index: int) -> bool:
        return any(top <= last < bottom and index <= bottom for top, _, bottom, _ in self.merged)

    def _continues(
        self, upper: tuple[str, ...], cells: tuple[str, ...], below: list[tuple[str, ...]]
    ) -> bool:
        kinds = [_kind(row[i] for row in below) for i in range(self.width)]
        typed = [i for i, kind in enumerate(kinds) if kind in {"number", "date"}]
        words = [i for i in typed if kind_of(cells[i]) in {"text", "code"}]
        years = [i for i in typed if is_year(cells[i])]
        if any(kind_of(cells[i]) in {"number", "date"} and not is_year(cells[i]) for i in typed):
            return False
        gaps = any(not name.strip() for name in upper)
        if not gaps:
            return len(words) >= 2 and len(words) * 2 >= self.width
        return len(words) + len(years) >= max(1, len(typed) // 2) and bool(typed)

    def _above(self, start: int) -> list[int]:
        """Return the row of group names directly above the header, if there is one."""
        above = start - 1
        if above < 0 or above not in self.lines:
            return []
        cells = self._cells(above)
        spans = [m for m in self.merged if m[0] == above and m[3] > m[1]]
        whole = any(m[3] - m[1] + 1 >= self.width for m in spans)
        grouped = bool(spans) and not whole and (len(spans) > 1 or spans[0][1] > 0)
        pivot = self.text and len(self.head[above].cells) == self.width and not cells[0].strip()
        groups = sum(bool(cell.strip()) for cell in cells)
        return [above] if grouped or (pivot and groups >= 2) else []

    def _names(self, levels: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if not levels:
            return ("",) * self.width, ()
        rows = [self._spread(i, upper=i != levels[-1]) for i in levels]
        length = len(self.head[levels[-1]].cells)
        notes: tuple[str, ...] = ()
        if self.text and length == self.width - 1 and self._last_is_filled(levels[-1]):
            # R writes row names without a header of their own.
            rows = [("", *row[:-1]) for row in rows]
            notes = ("names_shifted",)
        names = []
        for column in zip(*rows, strict=True):
            parts = list(dict.fromkeys(filter(None, (" ".join(cell.split()) for cell in column))))
            names.append(" / ".join(parts))
        if self.prefix or self.text:
            names[0] = names[0].removeprefix("#").strip() or names[0]
        return tuple(names), notes

    def _spread(self, index: int, upper: bool) -> tuple[str, ...]:
        cells = list(self._cells(index))
        for top, left, bottom, right in self.merged:
            if top <= index <= bottom and left < len(cells):
                text = self._cells(top)[left]
                cells[left : right + 1] = [text] * (min(right, len(cells) - 1) - left + 1)
        if upper and not self.merged:
            for i in range(1, len(cells)):
                cells[i] = cells[i] if cells[i].strip() else cells[i - 1]
        return tuple(cells)

    def _last_is_filled(self, header: int) -> bool:
        last = [self._cells(i)[-1] for i in self.lines if i > header]
        return sum(bool(cell.strip()) for cell in last) * 2 > len(last)


def _usual_width(head: Sequence[Line], filled: list[int]) -> int:
    widths = Counter(len(head[i].cells) for i in filled)
    wide = Counter({w: n for w, n in widths.items() if w > 1})
    single = widths.get(1, 0)
    if not wide or (single > 8 and single > wide.total() * 4):
        return 1
    usual = max(wide, key=lambda w: (wide[w], w))
    named = next((len(head[i].cells) for i in filled if len(head[i].cells) > 1), usual)
    # In a short file the header decides, unless it alone is as wide as it is.
    return (
        named if wide[named] * 2 >= wide[usual] and (wide[named] > 1 or wide[usual] == 1) else usual
    )


def _kind(cells: object) -> str:
    kinds = Counter(kind for kind in map(kind_of, cells) if kind)  # type: ignore[call-overload]
    if not kinds:
        return ""
    kind, times = kinds.most_common(1)[0]
    return str(kind) if times >= _MOSTLY * kinds.total() else "mixed"


def _vote(name: str, body: list[str], years: bool) -> float:
    """Return how much a cell speaks for being a name of its column, against being one of its
    cells."""
    kind, below = kind_of(name), _kind(body)
    if not name.strip():
        return 0.0
    if years and is_year(name) and below in {"number", "", "mixed"}:
        return 0.0 if all(map(is_year, filter(None, body))) else 1.0
    if below in {"number", "date", "address", "code"}:
        if kind == below:
            return -1.0
        return 1.0 if _is_word(name) else 0.0
    if kind in {"number", "date"} and below == "text":
        return -0.5
    return -1.0 if name.strip() in {cell.strip() for cell in body} and below else 0.0


def _is_word(name: str) -> bool:
    """Say whether a cell may be a name: a word, perhaps with a number behind it (``DT1``)."""
    kind = kind_of(name)
    return kind == "text" or (kind == "code" and name.strip()[:1].isalpha())


def _differs(name: str, body: list[str]) -> bool:
    """Say whether a name is built otherwise than the cells: a lone word above sentences."""
    shapes = Counter(map(_shape, filter(str.strip, body)))
    return _shape(name) != shapes.most_common(1)[0][0] if shapes else True


def _shape(cell: str) -> str:
    marks = "".join(
        "A"
        if c.isupper()
        else "a"
        if c.islower()
        else "9"
        if c.isdigit()
        else "z"
        if c.isalpha()
        else " "
        if c.isspace()
        else "."
        for c in cell.strip()
    )
    return "".join(c for i, c in enumerate(marks) if i == 0 or marks[i - 1] != c)
