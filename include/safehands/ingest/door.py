"""What a file really is, before anything reads it; and what lies in the landing folder.

The bytes decide, the name must agree. A station's program that calls an HTML page ``.xls`` is
common; reading it by its name would fail in a way nobody understands.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from safehands.datasets import SourceFile
from safehands.errors import BadInput, EmptyFile, TruncatedFile, WrongFileType
from safehands.ingest import remote
from safehands.stations import Register

__all__ = ["SUFFIXES", "check_type", "inventory", "open_any", "open_source", "sha256_of"]

_KINDS = {
    "csv": "text",
    "tsv": "text",
    "txt": "text",
    "jsonl": "json",
    "ndjson": "json",
    "json": "json",
    "parquet": "parquet",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
    "xls": "xls",
    "ods": "ods",
    "zip": "zip",
}
SUFFIXES = frozenset(_KINDS)
"""File name suffixes that are read."""
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"%PDF", "pdf"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"RIFF", "image"),
    (b"Rar!", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"SQLite format 3", "database"),
    (b"{\\rtf", "document"),
)
_DOCUMENTS = {"word/document.xml", "ppt/presentation.xml", "content.xml", "AndroidManifest.xml"}
_HTML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype|html|head|meta|table|body|\?xml|style|script)")
_SKIPPED = {"stations.yaml", "thumbs.db", "desktop.ini"}


def inventory(landing: Path, register: Register) -> list[SourceFile]:
    """List every export in the stations' folders, with size and SHA-256, sorted by path.

    Hidden and temporary files are left out; everything else is listed, also what cannot be read
    (then ``ingest`` says why). What is no regular file inside ``landing`` has an empty digest.
    """
    if remote.is_remote(landing):
        return remote.inventory(landing, register, _is_export)
    stations = [s for c in register.controllers for s in c.stations]
    folders = {(landing / s.folder).resolve(): s.code for s in stations}
    found = [
        _describe(landing, path, code)
        for folder, code in folders.items()
        for path in _files(folder, folders.keys() - {folder})
    ]
    return sorted(found, key=lambda f: f.path)


def _files(folder: Path, others: set[Path]) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if not _is_export(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            if entry not in others:
                yield from _files(entry, others)
        else:
            yield entry


def _is_export(name: str) -> bool:
    """Say whether a name is neither hidden nor temporary."""
    if name.startswith((".", "~$", "~")) or name.lower() in _SKIPPED:
        return False
    return not name.endswith((".tmp", ".part", ".crdownload"))


def _describe(landing: Path, path: Path, station: str) -> SourceFile:
    name = path.relative_to(landing.resolve()).as_posix()
    try:
        with _opened(landing, name, name) as handle:
            size = os.fstat(handle.fileno()).st_size
            return SourceFile(station, name, size, sha256_of(handle))
    except BadInput:
        return SourceFile(station, name, 0, "")


def sha256_of(handle: BinaryIO) -> str:
    """Return the SHA-256 of what is left of a file, as hex."""
    digest = hashlib.sha256()
    while block := handle.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def open_source(landing: Path, file: SourceFile) -> Iterator[BinaryIO]:
    """Open an export for reading.

    Raises ``BadInput`` when it is not a regular file inside ``landing`` or cannot be opened.
    """
    where = remote.opened(landing, file) if remote.is_remote(landing) else None
    with where or _opened(landing, file.path, file.label) as handle:
        yield handle


@contextmanager
def _opened(landing: Path, name: str, label: str) -> Iterator[BinaryIO]:
    root = landing.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise BadInput("ingest.outside_landing", file=label)
    try:
        # Non-blocking, so that a named pipe answers at once and can be refused.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise BadInput("ingest.cannot_open", file=label, reason=_reason(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput("ingest.not_a_file", file=label)
    with os.fdopen(descriptor, "rb") as handle:
        yield handle


def open_any(path: Path) -> AbstractContextManager[BinaryIO]:
    """Open a file that somebody named, wherever it lies. Raises ``BadInput`` if it can't be."""
    whole = path.resolve()
    return _opened(whole.parent, whole.name, path.name)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__


def check_type(handle: BinaryIO, name: str, label: str, anybody: bool = False) -> str:
    """Return ``text``, ``json``, ``parquet``, ``xlsx``, ``xls``, ``ods`` or ``zip``; rewinds.

    ``anybody``: the bytes decide alone; text is read whatever its name. Raises ``EmptyFile``,
    ``WrongFileType`` or (a zip or Parquet without its end)
    ``TruncatedFile``.
    """
    head = handle.read(65536)
    promised = _KINDS.get(name.rpartition(".")[2].lower(), "")
    if not head.strip(b"\xef\xbb\xbf \t\r\n") and len(head) < 65536:
        raise EmptyFile("ingest.empty", file=label)
    kind = _kind(head, handle, promised, label)
    handle.seek(0)
    if anybody and kind in _KINDS.values():
        return kind
    if not promised or kind != promised:
        key = "ingest.html_table" if kind == "html" else "ingest.wrong_type"
        raise WrongFileType(key, file=label, kind=kind)
    return kind


def _kind(head: bytes, handle: BinaryIO, promised: str, label: str) -> str:
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
    if found == "zip":
        return _inside_zip(handle, label)
    if found == "parquet":
        return _whole_parquet(handle, label)
    if found == "xls" and promised == "xlsx":
        _refuse_password(handle, label)
    if not found and _HTML.match(head[:512].lower()):
        return "html"
    return found or _text_kind(head, promised)


def _text_kind(head: bytes, promised: str) -> str:
    body = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb"\[\s*\{\s*\"", body):
        return "json document"
    starts = body.startswith(b"{") and b'"' in body[:200]
    return "json" if starts and promised == "json" else "text"


def _inside_zip(handle: BinaryIO, label: str) -> str:
    handle.seek(0)
    try:
        with zipfile.ZipFile(handle) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise TruncatedFile("ingest.cut_workbook", file=label) from None
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "content.xml" in names and "mimetype" in names:
        return "ods"
    if "xl/workbook.bin" in names:
        return "xlsb"
    return "document" if names & _DOCUMENTS else "zip"


def _whole_parquet(handle: BinaryIO, label: str) -> str:
    handle.seek(-4, io.SEEK_END)
    if handle.read(4) != b"PAR1" or handle.tell() < 12:
        raise TruncatedFile("ingest.cut_parquet", file=label)
    return "parquet"


def _refuse_password(handle: BinaryIO, label: str) -> None:
    # A workbook with a password is an OLE container around the encrypted package (MS-OFFCRYPTO).
    handle.seek(0)
    if "EncryptedPackage".encode("utf-16-le") in handle.read(64 * 1024 * 1024):
        raise WrongFileType("ingest.password", file=label)
