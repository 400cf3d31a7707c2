"""Tables in CSV and Parquet files: the one module of this package that touches the disk.

**How the cells of a CSV file are read.** As ``pandas.read_csv`` reads them, and so pyCANON: a
column whose cells are all numbers is numeric (``07`` equals ``7``, ``1.0`` equals ``1``), one of
only ``True`` and ``False`` is logical, everything else, dates included, is text and compared letter
by letter. Empty cells and the usual words for it (``NA``, ``NULL``, ``nan``, ``None``, …) are
missing. Columns named in ``text`` are kept as they are written: people's ids, and codes.

Parquet files carry their types, which are kept.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from safehands.errors import (
    BadInput,
    EmptyFile,
    PolicyError,
    TruncatedFile,
    WrongEncoding,
    WrongFileType,
)

__all__ = ["read_table", "write_table"]

_DELIMITERS = ",;\t|"
_ENCODINGS = ("utf-8-sig", "gb18030")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"%PDF")
_HEAD = 1 << 16


def read_table(path: Path, columns: Sequence[str], *, text: Collection[str] = ()) -> pa.Table:
    """Read ``columns`` of a CSV or Parquet file; its bytes say which it is, not its name.

    A CSV file is UTF-8, UTF-16 with a mark, or GB 18030, with the delimiter out of comma,
    semicolon, tab and bar that its header has most of.

    Raises ``BadInput`` (``risk.no_file``), ``EmptyFile`` (``risk.no_rows``), ``WrongFileType``
    (``risk.not_a_table``), ``WrongEncoding`` (``risk.encoding``), ``TruncatedFile``
    (``risk.ragged``: a line of another length than the header; ``risk.broken_parquet``),
    ``PolicyError`` (``risk.unknown_column``, ``risk.ambiguous_column``). No error carries a cell.
    """
    if not path.is_file():
        raise BadInput("risk.no_file", file=path.name)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return _read_parquet(path, columns)
    if head.startswith(_NOT_TEXT) or (b"\0" in head and not head.startswith(_UTF_16)):
        raise WrongFileType("risk.not_a_table", file=path.name)
    if not head.strip():
        raise EmptyFile("risk.no_rows")
    return _read_csv(path, head, columns, text)


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        _check(list(pq.read_schema(path).names), columns)
        table = pq.read_table(path, columns=list(dict.fromkeys(columns)))
    except (pa.ArrowException, OSError):
        raise TruncatedFile("risk.broken_parquet", file=path.name) from None
    return _not_empty(table)


def _check(present: list[str], columns: Sequence[str]) -> None:
    for name in columns:
        if present.count(name) != 1:
            key = "risk.ambiguous_column" if name in present else "risk.unknown_column"
            raise PolicyError(key, column=name)


def _not_empty(table: pa.Table) -> pa.Table:
    if table.num_rows == 0:
        raise EmptyFile("risk.no_rows")
    return table


def _read_csv(path: Path, head: bytes, columns: Sequence[str], text: Collection[str]) -> pa.Table:
    encodings = ("utf-16",) if head.startswith(_UTF_16) else _ENCODINGS
    for encoding in encodings:
        try:
            return _not_empty(_parsed(path, encoding, columns, text))
        except UnicodeDecodeError:
            continue
    raise WrongEncoding("risk.encoding", file=path.name)


def _parsed(path: Path, encoding: str, columns: Sequence[str], text: Collection[str]) -> pa.Table:
    delimiter, names = _header(path, encoding)
    _check(names, columns)
    wanted = list(dict.fromkeys(columns))
    _check_lengths(path, encoding, delimiter, wanted[0])
    try:
        frame = pd.read_csv(
            path,
            sep=delimiter,
            encoding=encoding,
            usecols=wanted,
            dtype={name: "str" for name in wanted if name in text},
            index_col=False,
            low_memory=False,
            compression=None,
        )
    except pd.errors.EmptyDataError:
        raise EmptyFile("risk.no_rows") from None
    except pd.errors.ParserError:
        # The message may quote the line, so it must not travel on.
        raise TruncatedFile("risk.ragged", file=path.name, line="?") from None
    try:
        return pa.Table.from_pandas(frame[wanted], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise BadInput("risk.mixed_file", file=path.name) from None


def _check_lengths(path: Path, encoding: str, delimiter: str, column: str) -> None:
    """Refuse a file with lines of another length than the header, which pandas would cut or fill.

    An unquoted delimiter inside a cell would otherwise shift every cell after it unseen.
    """
    try:
        _read_one(path, encoding, delimiter, column, threads=True)
    except pa.ArrowInvalid:
        try:
            # Only the slower reader says which line it was.
            _read_one(path, encoding, delimiter, column, threads=False)
        except pa.ArrowInvalid as error:
            row = re.match(r"CSV parse error: Row #(\d+):", str(error))
            line = row.group(1) if row else "?"
            raise TruncatedFile("risk.ragged", file=path.name, line=line) from None


def _read_one(path: Path, encoding: str, delimiter: str, column: str, *, threads: bool) -> None:
    pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(
            use_threads=threads, encoding="utf8" if encoding == "utf-8-sig" else encoding
        ),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=[column], column_types={column: pa.binary()}
        ),
    )


def _header(path: Path, encoding: str) -> tuple[str, list[str]]:
    with path.open(encoding=encoding, newline="") as lines:
        first = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda one: (first.count(one), one == ","))
    return delimiter, next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter), [])


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` as Parquet if the name ends so, else as CSV in UTF-8; readable by its owner.

    The file appears under its name only when it is complete and on disk.
    """
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if path.suffix.lower() == ".parquet":
            pq.write_table(table, file)
        else:
            pa_csv.write_csv(table, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
