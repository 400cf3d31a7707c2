"""A file of any format we read, as raw tables: ways of opening it, likeliest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from safehands.datasets import SourceFile
from safehands.ingest import remote
from safehands.ingest.archives import open_archive
from safehands.ingest.child import Reading
from safehands.ingest.columnar import ParquetTable
from safehands.ingest.delimited import TextTable
from safehands.ingest.door import check_type, open_source
from safehands.ingest.encodings import decide
from safehands.ingest.jsonlines import JsonTable
from safehands.ingest.limits import Limits
from safehands.ingest.source import Source
from safehands.ingest.tables import Opened
from safehands.ingest.workbook import open_workbook

__all__ = ["attempts", "ways"]


def attempts(
    landing: Path, file: SourceFile, limits: Limits | None = None
) -> Iterator[Callable[[], Opened]]:
    """Name the ways to open ``file``, likeliest first; they differ in the encoding of text.

    The file is read in a process of its own that lives as long as this iterator. The caller goes
    on to the next way only when the one before raised ``WrongEncoding`` or ``UnknownHeader``.
    Raises what ``door`` and ``child`` raise.
    """
    far = remote.is_remote(landing)
    verify = partial(remote.check_same, landing, file) if far else None
    with (
        open_source(landing, file) as handle,
        closing(Reading(handle, file, limits or Limits(), verify)) as reading,
    ):
        for way in range(reading.look()):
            yield partial(reading.open, way)


def ways(source: Source) -> list[Callable[[], Opened]]:
    """Return the ways to open a file, in the process that reads it. Raises what ``door`` raises."""
    with source.open() as handle:
        kind = check_type(handle, source.name, source.label, source.anybody)
    if kind == "parquet":
        return [lambda: Opened([ParquetTable(source)], facts={"format": "parquet"})]
    if kind == "zip":
        return [lambda: open_archive(source, ways)]
    if kind not in {"text", "json"}:
        return [partial(open_workbook, source, kind)]
    with source.open() as handle:
        verdict = decide(handle, source.label, source.anybody)
    facts = {"bom": verdict.bom, "format": "csv" if kind == "text" else "jsonl"}
    return [
        partial(_text, source, kind, encoding, verdict.certain, facts)
        for encoding in verdict.encodings
    ]


def _text(source: Source, kind: str, encoding: str, certain: bool, facts: dict[str, Any]) -> Opened:
    if kind == "json":
        return Opened([JsonTable(source, encoding)], encoding=encoding, facts=facts)
    return Opened([TextTable(source, encoding, certain)], encoding=encoding, facts=facts)
