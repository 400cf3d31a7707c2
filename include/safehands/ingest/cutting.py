"""Where a big text file is cut: behind a record, never inside one.

One pass over the bytes finds the ends of records, counting them, so that each range knows the number
of its first row. A line end inside quotes ends no record: quotes are followed exactly as the parser
follows them, one that stands inside a cell being a character like others.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from safehands.ingest.dialect import Dialect
from safehands.ingest.limits import BLOCK
from safehands.ingest.source import Source

__all__ = ["cut"]

_LONGEST = 3 * BLOCK

_SINGLE = {"utf-8", "gb18030", "big5", "windows-1252"}
"""Encodings in which the bytes of quote, delimiter and line end are never part of a character."""


def cut(
    source: Source,
    encoding: str,
    dialect: Dialect | None,
    target: int,
    progress: Callable[[], None],
) -> list[list[object]]:
    """Return ``start``, ``end``, first ``row`` and digest of parts of ``target`` bytes or more.

    ``dialect``: of delimited text; nothing for JSON Lines. Returns nothing for what can't be cut.
    """
    if encoding not in _SINGLE or (dialect is not None and not dialect.plain):
        return []
    quoted = _record(dialect) if dialect is not None and dialect.quote else None
    with source.open() as handle:
        parts = list(_cut(handle, quoted, target, progress))
    return [] if any(part is None for part in parts) else [list(p) for p in parts if p]


def _cut(
    handle: BinaryIO,
    quoted: re.Pattern[bytes] | None,
    target: int,
    progress: Callable[[], None],
) -> Iterator[tuple[int, int, int, str] | None]:
    start, end, first, row = 0, 0, 1, 1
    digest, carry = hashlib.sha256(), b""
    while block := handle.read(BLOCK):
        progress()
        whole = carry + block
        bare = whole.count(b"\r") - whole.count(b"\r\n") - whole.endswith(b"\r")
        if bare or len(whole) > _LONGEST:
            yield None  # Line ends of one character, or a record that no reader would take.
            return
        length, records = _ends(whole, quoted)
        digest.update(whole[:length])
        end, row, carry = end + length, row + records, whole[length:]
        if end - start >= target:
            yield start, end, first, digest.hexdigest()
            start, first, digest = end, row, hashlib.sha256()
    digest.update(carry)
    if end + len(carry) > start:
        yield start, end + len(carry), first, digest.hexdigest()


def _ends(data: bytes, quoted: re.Pattern[bytes] | None) -> tuple[int, int]:
    """Return where the last whole record ends, and how many there are."""
    if quoted is None or (b'"' not in data and b"'" not in data):
        return data.rfind(b"\n") + 1, data.count(b"\n")
    length = records = 0
    for found in quoted.finditer(data):
        if found.start() != length:
            break
        length, records = found.end(), records + 1
    return length, records


def _record(dialect: Dialect) -> re.Pattern[bytes]:
    """Return the pattern of one record with its line end (atomic: it never goes back)."""
    mark, sign = re.escape(dialect.parsed.encode()), re.escape(dialect.quote.encode())
    rest = rb"[^%b\n]*+" % mark
    cell = rb"(?>%b(?:[^%b]|%b%b)*+%b%b|(?!%b)%b)" % (
        sign,
        sign,
        sign,
        sign,
        sign,
        rest,
        sign,
        rest,
    )
    return re.compile(rb"%b(?:%b%b)*+\n" % (cell, mark, cell))
