"""Ranges of rows: a text file too big for one shard is read as several parts of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from safehands.datasets import Part, SourceFile
from safehands.errors import BadInput
from safehands.ingest.child import Reading
from safehands.ingest.door import open_source
from safehands.ingest.limits import Limits

__all__ = ["cut_big"]


def cut_big(
    landing: Path, files: list[SourceFile], target: int, limits: Limits
) -> list[SourceFile]:
    """Return ``files`` with each text file of more than twice ``target`` bytes cut into parts.

    What cannot be cut (a workbook, UTF-16, a file that is refused anyway) stays whole.
    """
    return [part for file in files for part in _parts(landing, file, target, limits)]


def _parts(landing: Path, file: SourceFile, target: int, limits: Limits) -> list[SourceFile]:
    if file.size < 2 * target or file.path.rpartition(".")[2].lower() not in _TEXT:
        return [file]
    try:
        with (
            open_source(landing, file) as handle,
            closing(Reading(handle, file, limits)) as reading,
        ):
            found = reading.ask({"do": "cut", "target": target})["parts"]
    except BadInput:
        # Reading it will say why.
        return [file]
    ranges = [Part(number, len(found), *part) for number, part in enumerate(found, 1)]
    cut_up = [SourceFile(file.station, file.path, file.size, file.digest, part) for part in ranges]
    return cut_up if len(cut_up) > 1 else [file]


_TEXT = {"csv", "tsv", "txt", "jsonl", "ndjson", "json"}
