"""A file of any format we read, as raw tables: ways of opening it, likeliest first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from safehands.datasets import SourceFile
from safehands.errors import BadInput
from safehands.ingest.delimited import TextTable
from safehands.ingest.door import check_type, open_source, unpackable
from safehands.ingest.records import JsonTable, ParquetTable
from safehands.ingest.tables import Opened
from safehands.ingest.text import HEAD_BYTES, candidates
from safehands.ingest.workbook import open_workbook

__all__ = ["attempts"]

Opener = Callable[[], AbstractContextManager[BinaryIO]]


def attempts(landing: Path, file: SourceFile) -> Iterator[Callable[[], Opened]]:
    """Name the ways to open ``file``, likeliest first; they differ in the encoding of text.

    The caller goes on to the next only when the one before raised ``WrongEncoding`` or
    ``UnknownHeader``. Raises what ``door`` raises.
    """
    opener = partial(open_source, landing, file)
    with opener() as handle:
        kind = check_type(handle, file.path, file.label)
        head = handle.read(HEAD_BYTES)
    if kind in {"text", "json"}:
        for encoding in candidates(head, file.label):
            yield partial(_text, opener, file, kind, encoding)
    elif kind == "parquet":
        yield lambda: Opened([ParquetTable(opener, file.label, file.digest)])
    else:
        yield partial(_workbook, opener, file, zipped=kind != "xls")


def _text(opener: Opener, file: SourceFile, kind: str, encoding: str) -> Opened:
    table = TextTable if kind == "text" else JsonTable
    return Opened([table(opener, encoding, file.label, file.digest)], encoding=encoding)


def _workbook(opener: Opener, file: SourceFile, zipped: bool) -> Opened:
    with opener() as handle:
        data = handle.read()
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise BadInput("ingest.changed_while_reading", file=file.label)
    date1904 = unpackable(data, file.label) if zipped else False
    return open_workbook(data, file.label, date1904)
