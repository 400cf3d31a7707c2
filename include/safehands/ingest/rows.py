"""The rows of one table on their way: which are skipped, which are set aside and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import ContradictoryHeader
from safehands.ingest.cells import Cells
from safehands.ingest.find import Found
from safehands.ingest.tables import TOTALS, Batch, letter

__all__ = ["Rows", "contradiction", "without_totals"]


class Rows:
    """Counts and quarantined rows of one table."""

    def __init__(self, index: int, sheet: str, dataset: str) -> None:
        self.read = self.skipped = 0
        self._index, self._sheet, self._dataset = index, sheet, dataset
        self._aside: list[tuple[int, str, str, str]] = []

    def set_aside(self, row: int, rule: str, column: str = "", payload: str = "{}") -> None:
        """Remember one row for the quarantine."""
        self._aside.append((row, rule, column, payload))

    def quarantine(
        self,
        batch: Batch,
        raw: Mapping[str, pa.Array],
        cells: Mapping[str, Cells],
        reasons: Counter[str],
    ) -> pa.Array | None:
        """Set faulty rows aside, each once, for its first fault; return the mask of good rows."""
        good: pa.Array | None = None
        for name, cell in cells.items():
            for rule, mask in cell.faults.items():
                fresh = mask if good is None else pc.and_(mask, good)
                numbers = batch.rows.filter(fresh).to_pylist()
                for row, payload in zip(numbers, _payload(raw, fresh), strict=True):
                    self.set_aside(row, rule, name, payload)
                reasons.update([rule] * len(numbers))
                good = pc.invert(mask) if good is None else pc.and_not(good, mask)
        return good

    def reference(self, batch: Batch) -> dict[str, pa.Array]:
        """Return the three reference columns of a batch."""
        count = len(batch.rows)
        return {
            "_file": pa.repeat(pa.scalar(self._index, pa.int32()), count),
            "_sheet": pa.repeat(pa.scalar(self._sheet, pa.string()), count),
            "_row": batch.rows,
        }

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """Return the quarantined rows in the order of the file."""
        rows = [
            (self._index, self._sheet, row, self._dataset, rule, column, payload)
            for row, rule, column, payload in sorted(self._aside)
        ]
        arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(schema)]
        return pa.record_batch(arrays, schema=schema)


def without_totals(batch: Batch, rows: Rows) -> Batch:
    """Drop blank rows silently, and totals rows and footers counted as skipped."""
    leading = pc.coalesce(*(_as_label(batch.columns[i]) for i in sorted(batch.columns)))
    short = pc.and_not(pc.less_equal(pc.binary_length(leading), 12), pc.ascii_is_decimal(leading))
    doubtful = pc.fill_null(pc.or_(pc.invert(pc.ascii_is_alnum(leading)), short), True)
    if not pc.any(doubtful).as_py():
        return batch
    blank, totals = _doubtful(batch, doubtful)
    rows.skipped += totals.true_count
    rows.read += totals.true_count
    dropped = pc.or_(blank, totals)
    if not dropped.true_count:
        return batch
    where = pc.replace_with_mask(pa.repeat(pa.scalar(False), len(batch.rows)), doubtful, dropped)
    kept = pc.invert(where)
    columns = {i: column.filter(kept) for i, column in batch.columns.items()}
    return Batch(columns, batch.rows.filter(kept))


def _doubtful(batch: Batch, doubtful: pa.Array) -> tuple[pa.Array, pa.Array]:
    texts = [_as_label(batch.columns[i]).filter(doubtful) for i in sorted(batch.columns)]
    tidy = [pc.utf8_trim_whitespace(text) for text in texts]
    leading = pc.coalesce(*(pc.if_else(pc.equal(t, ""), None, t) for t in tidy))
    totals = pc.fill_null(pc.match_substring_regex(leading, TOTALS), False)
    return pc.is_null(leading), totals


def _as_label(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def contradiction(file: str, row: int, name: str, found: Found) -> ContradictoryHeader:
    """Return the error for two columns of one field that differ in ``row``."""
    letters = ", ".join(letter(position) for position in found.columns[name])
    return ContradictoryHeader(
        "ingest.columns_differ", file=file, row=row, columns=letters, field=name
    )


def _payload(raw: Mapping[str, pa.Array], mask: pa.Array) -> Iterator[str]:
    filtered = {name: column.filter(mask).to_pylist() for name, column in raw.items()}
    for cells in zip(*filtered.values(), strict=True):
        texts = {n: str(c) for n, c in zip(filtered, cells, strict=True) if c is not None}
        yield json.dumps(texts, ensure_ascii=False)
