"""One table of any file at all, as the reader alone finds it: nothing is known of stations here.

``survey`` writes the table as Parquet and says what it took the file for. Text columns stay text;
columns of a workbook or Parquet file have the type that all of their cells have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from safehands.datasets import SourceFile
from safehands.errors import BadInput, EmptyFile, SetupProblem
from safehands.ingest.child import Reading
from safehands.ingest.door import open_any
from safehands.ingest.layout import Layout, find_layout
from safehands.ingest.limits import Limits
from safehands.ingest.sifting import Sifted
from safehands.ingest.tables import Opened, RawTable, letter

__all__ = ["Survey", "survey"]

_SHOWN = 1_000


@dataclass
class Survey:
    """What was found; ``as_dict`` is what ``--json`` prints. No cell is in it but column names."""

    file: str
    format: str
    facts: dict[str, Any] = field(default_factory=dict)
    columns: list[dict[str, str]] = field(default_factory=list)
    rows: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data; long lists are cut, their counts are whole."""
        return {
            "file": self.file,
            "format": self.format,
            **self.facts,
            "columns": self.columns,
            "rows_read": self.rows,
            "rows_refused": len(self.refused),
            "refused": self.refused[:_SHOWN],
            "rows_skipped": len(self.skipped),
            "skipped": self.skipped[:_SHOWN],
            "notices": self.notices,
        }


def survey(
    path: Path, out: Path | None, limits: Limits, sheet: str = "", hidden: bool = False
) -> Survey:
    """Read the table of ``path`` and write it to ``out``, if given.

    ``sheet``: which sheet or archive member; otherwise the first that holds a table. ``hidden``:
    hidden sheets may be read. Raises ``BadInput`` when the file cannot be read right, and
    ``SetupProblem`` when ``out`` cannot be written.
    """
    with open_any(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        file = SourceFile("", path.name, size, "")
        reading = Reading(handle, file, limits, hidden=hidden or bool(sheet), anybody=True)
    try:
        reading.look()
        opened = reading.open(0)
        table, layout = _choose(opened, sheet, path.name)
        found = Survey(path.name, str(opened.facts.get("format", "")))
        _write(table, layout, found, out, opened)
        _describe(found, opened, table, layout)
        return found
    finally:
        reading.close()


def _choose(opened: Opened, sheet: str, file: str) -> tuple[RawTable, Layout]:
    tables = [
        t for t in opened.tables if not sheet or t.sheet == sheet or t.sheet.endswith("/" + sheet)
    ]
    if sheet and not tables:
        raise BadInput("ingest.no_such_sheet", file=file, sheet=sheet)
    text, named = _is_text(opened), _is_named(opened)
    found = [(table, find_layout(table, text, named)) for table in tables]
    found = [pair for pair in found if pair[1].width]
    if not found:
        raise EmptyFile("ingest.empty", file=file)
    wide = [pair for pair in found if pair[1].width > 1 and len(pair[0].head) > 1]
    return (wide or found)[0]


def _is_text(opened: Opened) -> bool:
    return opened.facts.get("format") in {"csv", "zip"}


def _is_named(opened: Opened) -> bool:
    return opened.facts.get("format") in {"parquet", "jsonl"}


def _write(
    table: RawTable, layout: Layout, found: Survey, out: Path | None, opened: Opened
) -> None:
    names, renamed = _unique(layout.names)
    stream = Sifted(table, layout, _is_text(opened), _is_named(opened))
    kept = _Kept(names, table, layout)
    typed = opened.facts.get("format") not in {"csv", "jsonl", "zip"}
    sink = _Sink(out) if out is not None else None
    try:
        tables = _whole(stream, kept) if typed else kept.streamed(stream)
        for made in tables:
            found.rows += made.num_rows
            if sink is not None:
                sink.write(made)
        if sink is not None:
            sink.close(kept.schema())
    except BaseException:
        if sink is not None:
            sink.abandon()
        raise
    found.refused, found.skipped = stream.refused, stream.skipped
    found.facts["blank_rows"] = stream.blank
    found.columns = kept.described()
    if renamed:
        found.notices.append({"notice": "columns_renamed", "columns": renamed})
    if kept.dropped:
        dropped = [letter(i) for i in kept.dropped]
        found.notices.append({"notice": "blank_columns_left_out", "columns": dropped})


def _unique(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return names that are all different; what had none is called after its place."""
    made: list[str] = []
    renamed = []
    for position, name in enumerate(names, 1):
        wanted, number = name or f"column_{position}", 2
        while wanted in made:
            wanted, number = f"{name or 'column'}_{number}", number + 1
        if name and wanted != name:
            renamed.append(wanted)
        made.append(wanted)
    return made, renamed


class _Kept:
    """The columns that are written: those with a name or a cell, under their names."""

    def __init__(self, names: list[str], table: RawTable, layout: Layout) -> None:
        self.names, self.table, self.layout = names, table, layout
        blank = [i for i, name in enumerate(layout.names) if not name]
        seen = [line.cells for line in table.head]
        # A column without a name is left out if all of its cells are blank, which the end shows.
        self.suspects = [i for i in blank if all(i >= len(c) or not c[i].strip() for c in seen)]
        self.dropped: list[int] = []
        self.types: dict[int, pa.DataType] = {}

    def places(self) -> list[int]:
        return [i for i in range(len(self.names)) if i not in self.dropped]

    def streamed(self, stream: Sifted) -> Iterator[pa.Table]:
        """Yield batch by batch all columns, the suspects too; they are ``dropped`` at the end."""
        blank = set(self.suspects)
        for batch in stream:
            blank -= {i for i in blank if batch.columns[i].null_count < len(batch.rows)}
            yield self.table_of(batch.columns)
        self.dropped = sorted(blank)

    def table_of(self, columns: dict[int, Any]) -> pa.Table:
        for i, column in columns.items():
            self.types.setdefault(i, column.type)
        return pa.table({self.names[i]: column for i, column in columns.items()})

    def schema(self) -> pa.Schema:
        return pa.schema([(self.names[i], self.types.get(i, pa.string())) for i in self.places()])

    def described(self) -> list[dict[str, str]]:
        return [
            {
                "name": self.names[i],
                "letter": letter(i),
                "type": str(self.types.get(i, pa.string())),
            }
            for i in self.places()
        ]


def _whole(stream: Sifted, kept: _Kept) -> Iterator[pa.Table]:
    """Yield the whole table at once, its columns typed by all of their cells."""
    batches = list(stream)
    if not batches:
        kept.dropped = kept.suspects
        return
    columns = {
        i: pa.chunked_array([batch.columns[i] for batch in batches]) for i in range(len(kept.names))
    }
    kept.dropped = [i for i in kept.suspects if columns[i].null_count == len(columns[i])]
    kinds, others = kept.table.info.get("kinds", {}), bool(stream.skipped)
    yield kept.table_of(
        {i: _typed(columns[i], set(kinds.get(str(i), ())), others) for i in kept.places()}
    )


def _typed(column: pa.ChunkedArray, kinds: set[str], others: bool) -> pa.ChunkedArray:
    """Return a column in the type of its cells. ``others``: rows that are no records had cells too.

    Whole numbers of more than 15 digits are rather identifiers: such a column stays text.
    """
    if not pa.types.is_string(column.type):
        return column
    wanted = _TYPES.get(frozenset(kinds - {"text"} if others else kinds))
    if wanted is None:
        return column
    try:
        made = column.cast(wanted)
    except pa.ArrowInvalid:
        # The texts of error cells stand among the numbers.
        return column
    if "text" in kinds and not made.cast(pa.string()).equals(column):
        return column
    return made


_TYPES: dict[frozenset[str], pa.DataType] = {
    frozenset({"integer"}): pa.int64(),
    frozenset({"decimal"}): pa.float64(),
    frozenset({"integer", "decimal"}): pa.float64(),
    frozenset({"integer", "decimal", "long"}): pa.float64(),
    frozenset({"decimal", "long"}): pa.float64(),
    frozenset({"boolean"}): pa.bool_(),
    frozenset({"date"}): pa.date32(),
    frozenset({"datetime"}): pa.timestamp("us"),
    frozenset({"date", "datetime"}): pa.timestamp("us"),
}


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")


class _Sink:
    """A Parquet file that appears under its name when it is complete."""

    def __init__(self, out: Path) -> None:
        self._out, self._partial = out, out.with_name(out.name + ".partial")
        self._writer: pq.ParquetWriter | None = None
        try:
            self._handle = _private(self._partial)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise SetupProblem("ingest.cannot_write", file=out.name, reason=reason) from None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._handle, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self, schema: pa.Schema) -> None:
        """Finish the file, with the columns of ``schema`` only."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._handle, schema)
        self._writer.close()
        self._finish()
        if len(self._writer.schema) > len(schema):
            self._narrow(schema)
        os.replace(self._partial, self._out)

    def _finish(self) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()

    def _narrow(self, schema: pa.Schema) -> None:
        narrow = self._partial.with_suffix(".narrow")
        with pq.ParquetFile(self._partial) as wide, _private(narrow) as self._handle:
            with pq.ParquetWriter(self._handle, schema, compression="zstd") as writer:
                for batch in wide.iter_batches(columns=schema.names):
                    writer.write_batch(batch.select(schema.names))
            self._handle.flush()
            os.fsync(self._handle.fileno())
        os.replace(narrow, self._partial)

    def abandon(self) -> None:
        self._handle.close()
        self._partial.unlink(missing_ok=True)


def _describe(found: Survey, opened: Opened, table: RawTable, layout: Layout) -> None:
    rows = [table.head[i].row for i in layout.levels if table.head[i].row]
    found.facts.update(
        encoding=opened.encoding,
        bom=bool(opened.facts.get("bom")),
        delimiter=table.info.get("delimiter"),
        quote=table.info.get("quote"),
        escape=table.info.get("escape"),
        line_end=table.info.get("line_end"),
        sheet=table.sheet,
        sheets=opened.facts.get("sheet_names", []),
        hidden_sheets=opened.facts.get("hidden_names", []),
        header_row=rows[-1] if rows else None,
        header_rows=rows,
        title_rows=list(layout.titles),
        comment_lines=list(layout.comments),
    )
    found.facts = {k: v for k, v in found.facts.items() if v is not None or k == "header_row"}
    found.notices += _notices(opened, table, layout)


def _notices(opened: Opened, table: RawTable, layout: Layout) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"notice": note} for note in layout.notes]
    if not layout.levels:
        made.append({"notice": "no_header"})
    for name in ("formulas", "formulas_without_result", "external_links", "macros"):
        if count := opened.facts.get(name):
            made.append({"notice": name, "count": count})
    if count := table.info.get("errors"):
        made.append({"notice": "error_cells", "count": count})
    for position, count in table.info.get("long_numbers", {}).items():
        column = letter(int(position))
        made.append({"notice": "more_than_15_digits", "column": column, "count": count})
    if count := opened.facts.get("unread_members"):
        made.append({"notice": "unread_members", "count": count})
    unread = len(opened.tables) - 1
    if unread:
        made.append({"notice": "unread_sheets", "count": unread})
    return made
