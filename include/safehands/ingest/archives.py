"""Zip files of exports: members are read where they lie, and never written anywhere.

A member's path is shown and nothing else: no path of an archive ever names a place on a disk. Still
an archive that tries is refused whole, because nobody's export does.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from safehands.datasets import safe_name
from safehands.errors import BadInput, EmptyFile, TruncatedFile, WrongEncoding, WrongFileType
from safehands.ingest.door import SUFFIXES
from safehands.ingest.source import Opener, Source
from safehands.ingest.tables import Opened, RawTable

__all__ = ["open_archive"]

_Ways = Callable[[Source], list[Callable[[], Opened]]]
_SEEKING = ("xlsx", "xlsm", "xls", "ods", "parquet")
_IGNORED = re.compile(r"(^|/)(__MACOSX/|\.|~\$|thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
_ENCRYPTED = 0x1


def open_archive(source: Source, ways: _Ways) -> Opened:
    """Open all members that are tables; the others are counted as ``unread_members``.

    Raises ``BadInput`` for an archive that is too large, holds too many files or a path that leads
    out of it, ``WrongFileType`` for one with a password, ``TruncatedFile`` for a damaged one.
    """
    data = source.read()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries, source)
            return _members(data, entries, source, ways)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        raise TruncatedFile("ingest.cut_archive", file=source.label) from None


def _check(entries: list[zipfile.ZipInfo], source: Source) -> None:
    limit = source.limits.members
    if len(entries) > limit:
        raise BadInput("ingest.too_many_members", file=source.label, limit=limit)
    most = source.limits.unpacked(source.size)
    if sum(entry.file_size for entry in entries) > most:
        raise BadInput("ingest.too_large", file=source.label, limit=most // 1_000_000)
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise WrongFileType("ingest.password", file=source.label)
        if _leads_out(entry):
            raise BadInput("ingest.archive_path", file=source.label)


def _leads_out(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename.replace("\\", "/")
    parts = name.split("/")
    link = stat.S_ISLNK(entry.external_attr >> 16)
    return link or ".." in parts or name.startswith("/") or ":" in parts[0] or "\0" in name


def _members(data: bytes, entries: list[zipfile.ZipInfo], source: Source, ways: _Ways) -> Opened:
    tables: list[RawTable] = []
    facts: dict[str, Any] = {"format": "zip", "members": 0, "unread_members": 0}
    hidden, date1904, encodings = 0, False, set()
    for entry in entries:
        name = _shown(entry)
        if _IGNORED.search(name):
            continue
        if name.rpartition(".")[2].lower() not in SUFFIXES - {"zip"}:
            facts["unread_members"] += 1
            continue
        opened = _open_member(_member(data, entry, name, source), ways)
        facts["members"] += 1
        hidden, date1904 = hidden + opened.hidden, date1904 or opened.date1904
        encodings.add(opened.encoding)
        tables += [_named(table, name) for table in opened.tables]
    if not facts["members"]:
        raise EmptyFile("ingest.empty_archive", file=source.label)
    return Opened(tables, " ".join(sorted(encodings - {""})), hidden, date1904, facts)


def _shown(entry: zipfile.ZipInfo) -> str:
    """Return the name of a member; programs of this country write it in GB18030."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return entry.filename


def _member(data: bytes, entry: zipfile.ZipInfo, name: str, source: Source) -> Source:
    label = f"{source.label}/{safe_name(name)}"
    return replace(
        source,
        name=name,
        label=label,
        digest="",
        size=entry.compress_size,
        opener=_opener(data, entry, name),
    )


def _opener(data: bytes, entry: zipfile.ZipInfo, name: str) -> Opener:
    @contextmanager
    def opener() -> Iterator[BinaryIO]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(entry) as member:
            if name.rpartition(".")[2].lower() in _SEEKING:
                yield io.BytesIO(member.read())
            else:
                yield io.BufferedReader(member, 1 << 16)  # type: ignore[type-var]

    return opener


def _open_member(member: Source, ways: _Ways) -> Opened:
    """Open a member in the first way that decodes it."""
    refused: BadInput | None = None
    for way in ways(member):
        try:
            return way()
        except WrongEncoding as problem:
            refused = refused or problem
    raise refused or WrongEncoding("ingest.wrong_encoding", file=member.label)


def _named(table: RawTable, name: str) -> RawTable:
    table.sheet = f"{name}/{table.sheet}" if table.sheet else name
    return table
