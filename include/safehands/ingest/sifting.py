"""The rows of a surveyed table: which are records, and which are blank, comments or footers."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.layout import Layout
from safehands.ingest.tables import Batch, Odd, RawTable, is_totals

__all__ = ["Sifted"]

_TAIL = 40
_REPEATED = 2
_NOTE = re.compile(
    r"\s*(?:[*†‡©]|\(?\d\)|\[\d\]|(?:sources?|notes?|footnotes?|n\.?b\.?|copyright|last updated|"
    r"updated|generated|exported|downloaded|prepared by|end of|data (?:from|source))\b|"
    r"(?:注|备注|说明|来源|资料来源|数据来源|制表|填表|审核|导出|打印|统计时间|備註|說明|來源)\S?)",
    re.IGNORECASE,
)


class Sifted:
    """Batches of records; the rest is counted and listed with its line when all are drawn."""

    def __init__(self, table: RawTable, layout: Layout, text: bool, named: bool) -> None:
        self.blank = 0
        self.refused: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self._table, self._layout, self._text, self._named = table, layout, text, named
        self._lines = _Lines()
        self._first = table.head[layout.header].row if layout.header >= 0 else 0
        self._last = self._read = 0
        for line in table.head[: layout.header + 1]:
            self._lines.note(line.row, sum(cell.count("\n") for cell in line.cells))

    def __iter__(self) -> Iterator[Batch]:
        """Draw the records once."""
        wanted = range(self._layout.width)
        drawn = self._table.batches(self._layout.header, self._layout.width, wanted)
        for batch in drawn if self._named else self._records(drawn):
            self._read += len(batch.rows)
            yield batch
        self._judge_odd()

    def _records(self, drawn: Iterator[Batch]) -> Iterator[Batch]:
        held: Batch | None = None
        for batch in drawn:
            if self._text:
                self._note_lines(batch)
            clean = self._without_comments(self._without_blank(batch))
            clean = self._without_headers(clean)
            if held is None:
                held = clean
            elif len(clean.rows) < _TAIL:
                # Footers are looked for in the last rows, which must not lie in two batches.
                held = _joined(held, clean)
            else:
                yield held
                held = clean
        if held is not None and len(held.rows):
            yield self._without_tail(held)

    def _note_lines(self, batch: Batch) -> None:
        extra = None
        for column in batch.columns.values():
            if pa.types.is_string(column.type):
                count = pc.fill_null(pc.count_substring(column, "\n"), 0)
                extra = count if extra is None else pc.add(extra, count)
        if extra is not None and (pc.sum(extra).as_py() or 0):
            for index in pc.indices_nonzero(extra).to_pylist():
                self._lines.note(batch.rows[index].as_py(), extra[index].as_py())

    def _without_blank(self, batch: Batch) -> Batch:
        filled = None
        for column in batch.columns.values():
            if column.null_count == 0 and pa.types.is_string(column.type):
                trimmed = pc.not_equal(pc.utf8_trim_whitespace(column), "")
            elif pa.types.is_string(column.type):
                trimmed = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False)
            else:
                trimmed = pc.is_valid(column)
            filled = trimmed if filled is None else pc.or_(filled, trimmed)
            if filled.true_count == len(filled):
                return batch
        if filled is None:
            return batch
        return _filtered(batch, filled)

    def _without_comments(self, batch: Batch) -> Batch:
        prefix = self._layout.prefix
        if not prefix or not len(batch.rows):
            return batch
        first = batch.columns[0]
        marked = pc.fill_null(pc.starts_with(pc.utf8_ltrim_whitespace(first), prefix), False)
        if not marked.true_count:
            return batch
        self._skip(batch.rows.filter(marked).to_pylist(), "comment")
        return _filtered(batch, pc.invert(marked))

    def _without_headers(self, batch: Batch) -> Batch:
        """Leave out repetitions of the header, as printed pages have them."""
        levels = self._layout.levels
        cells = self._table.head[levels[-1]].cells if levels else ()
        if sum(map(bool, cells)) < _REPEATED or not len(batch.rows):
            return batch
        same = pa.array([True] * len(batch.rows))
        for position, cell in enumerate(cells[: self._layout.width]):
            column = batch.columns[position]
            if not same.true_count or not pa.types.is_string(column.type):
                return batch
            equal = pc.equal(column, cell) if cell else pc.is_null(column)
            same = pc.and_(same, pc.fill_null(equal, False))
        if not same.true_count:
            return batch
        self._skip(batch.rows.filter(same).to_pylist(), "repeated_header")
        return _filtered(batch, pc.invert(same))

    def _skip(self, rows: list[int], reason: str) -> None:
        self.skipped += [{"row": row, "reason": reason} for row in rows]

    def _without_tail(self, batch: Batch) -> Batch:
        """Take notes, footers and a totals row off the end of the last batch."""
        count = len(batch.rows)
        self._last = batch.rows[-1].as_py()
        if self._layout.width < 2:
            return batch
        tail = min(_TAIL, count)
        start = count - tail
        cells = [c.slice(start).to_pylist() for _, c in sorted(batch.columns.items())]
        rows = list(zip(*cells, strict=True))
        numbers = batch.rows.slice(start).to_pylist()
        keep = tail
        while keep > 0 and (keep > 1 or start > 0) and self._is_footer(rows, numbers, keep - 1):
            self._skip([numbers[keep - 1]], "footer")
            keep -= 1
        if keep > 1 and self._is_totals(rows[:keep]):
            self._skip([numbers[keep - 1]], "totals")
            keep -= 1
        kept = pa.array(np.arange(count) < start + keep)
        return batch if keep == tail else _filtered(batch, kept)

    def _is_footer(self, rows: list[tuple[Any, ...]], numbers: list[int], index: int) -> bool:
        filled = [str(cell) for cell in rows[index] if cell is not None and str(cell).strip()]
        if len(filled) != 1 or (self._layout.width < 3 and not _NOTE.match(filled[0])):
            return False
        first = rows[index][0] is not None
        gap = index > 0 and numbers[index] > numbers[index - 1] + 1
        usual = sum(cell is not None for cell in rows[max(0, index - 1)]) if index else 0
        note = _NOTE.match(filled[0]) is not None
        return first and (
            note
            or (gap and not filled[0].strip().isdigit())
            or (usual == 1 and len(filled[0]) > 30)
        )

    def _is_totals(self, rows: list[tuple[Any, ...]]) -> bool:
        labels = [next((str(c) for c in row if c is not None), "") for row in rows]
        return is_totals(labels[-1]) and not any(map(is_totals, labels[:-1]))

    def _judge_odd(self) -> None:
        for odd in self._table.odd:
            self._lines.note(odd.row, odd.lines)
            self._judge(odd)
        ends = [self._last, *(odd.row for odd in self._table.odd)]
        others = len(self.refused) + len(self.skipped) + self._read
        self.blank = 0 if self._named else max(0, max(ends) - self._first - others)
        for found in (self.refused, self.skipped):
            found.sort(key=lambda item: item["row"])
            if self._text:
                found[:] = [{"line": self._lines.of(item["row"]), **item} for item in found]

    def _judge(self, odd: Odd) -> None:
        narrow = odd.rule == "row_width" and odd.cells == 1 and self._layout.width > 2
        if odd.rule == "totals":
            self._skip([odd.row], odd.rule)
        elif odd.mark and odd.mark == self._layout.prefix:
            self._skip([odd.row], "comment")
        elif narrow and odd.row > self._last:
            self._skip([odd.row], "footer")
        else:
            width = {"cells": odd.cells, "expected": self._layout.width} if odd.cells else {}
            self.refused.append({"row": odd.row, "reason": odd.rule, **width})


class _Lines:
    """Which line of the file a record begins on: records may hold line ends."""

    def __init__(self) -> None:
        self._extra: dict[int, int] = {}
        self._rows: list[int] | None = None
        self._sums: list[int] = []

    def note(self, row: int, lines: int) -> None:
        if lines:
            self._extra[row] = lines
            self._rows = None

    def of(self, row: int) -> int:
        if self._rows is None:
            self._rows = sorted(self._extra)
            self._sums = [0]
            for number in self._rows:
                self._sums.append(self._sums[-1] + self._extra[number])
        return row + self._sums[bisect_left(self._rows, row)]


def _filtered(batch: Batch, mask: pa.Array) -> Batch:
    columns = {i: column.filter(mask) for i, column in batch.columns.items()}
    return Batch(columns, batch.rows.filter(mask))


def _joined(first: Batch, second: Batch) -> Batch:
    columns = {
        i: pa.concat_arrays([column, second.columns[i]]) for i, column in first.columns.items()
    }
    return Batch(columns, pa.concat_arrays([first.rows, second.rows]))
