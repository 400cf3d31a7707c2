"""What a packed workbook holds, looked at before anything believes it.

Sizes are counted while unpacking, in blocks, and never taken from the archive's own word. Formulas,
macros and links are counted and not followed; the texts of error cells are kept, because the reader
of the cells leaves them out.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from safehands.errors import BadInput, TruncatedFile
from safehands.ingest.source import Source

__all__ = ["Package", "look_into"]

_BLOCK = 1 << 20
_MOST_ERRORS = 100_000
_LARGEST_INDEX = 16 * 1024 * 1024


@dataclass
class Package:
    """What was noticed. ``errors``: part → (row, column) from 0 → text such as ``#N/A``."""

    date1904: bool = False
    formulas: int = 0
    uncached: int = 0
    links: int = 0
    macros: bool = False
    errors: dict[str, dict[tuple[int, int], str]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    def of_sheet(self, name: str) -> dict[tuple[int, int], str]:
        """Return the error cells of a sheet."""
        return self.errors.get(self.parts.get(name, ""), {})

    def facts(self) -> dict[str, Any]:
        """Return what is reported; nothing of it is followed or run."""
        found = {
            "formulas": self.formulas,
            "formulas_without_result": self.uncached,
            "external_links": self.links,
            "macros": int(self.macros),
        }
        return {name: count for name, count in found.items() if count}


def look_into(data: bytes, source: Source) -> Package:
    """Look through the parts that will be read.

    Raises ``BadInput`` above the limit of unpacked size or for entity declarations, and
    ``TruncatedFile`` for a damaged archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _Look(archive, source, len(data)).package
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, OSError):
        raise TruncatedFile("ingest.cut_workbook", file=source.label) from None
    except (RuntimeError, ValueError):
        raise TruncatedFile("ingest.cut_workbook", file=source.label) from None


class _Look:
    def __init__(self, archive: zipfile.ZipFile, source: Source, size: int) -> None:
        self.package = Package()
        self._archive, self._source = archive, source
        self._limit, self._total = source.limits.unpacked(size), 0
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > self._limit:
            raise self._too_large()
        names = [entry.filename for entry in entries]
        self.package.macros = any(_MACROS.search(name) for name in names)
        self.package.links = sum(_LINKS.search(name) is not None for name in names)
        for name in names:
            if _READ.search(name):
                self._part(name)
        self._index()

    def _too_large(self) -> BadInput:
        return BadInput("ingest.too_large", file=self._source.label, limit=self._limit // 1_000_000)

    def _part(self, name: str) -> None:
        sheet = _SHEET.search(name) is not None
        carry, first = b"", True
        for block in self._blocks(name):
            if first and _DECLARES.search(block[:4096]):
                raise BadInput("ingest.xml_entities", file=self._source.label)
            first = False
            self.package.formulas += block.count(b"table:formula=") if not sheet else 0
            if sheet:
                whole = carry + block
                cut = whole.rfind(b"</c>") + 4
                carry = whole[cut:] if cut >= 4 and len(whole) - cut < _BLOCK else b""
                self._cells(name, whole[: len(whole) - len(carry)])
        if sheet:
            self._cells(name, carry)

    def _blocks(self, name: str) -> Iterator[bytes]:
        with self._archive.open(name) as part:
            while block := part.read(_BLOCK):
                self._total += len(block)
                if self._total > self._limit:
                    raise self._too_large()
                yield block

    def _cells(self, name: str, xml: bytes) -> None:
        formulas = xml.count(b"<f>") + xml.count(b"<f ") + xml.count(b"<f/>")
        if formulas:
            self.package.formulas += formulas
            self.package.uncached += len(_UNCACHED.findall(xml))
        if b't="e"' in xml:
            found = self.package.errors.setdefault(name, {})
            for cell in _ERROR.finditer(xml):
                if len(found) < _MOST_ERRORS:
                    found[_place(cell["ref"])] = cell["text"].decode("ascii", "replace")

    def _index(self) -> None:
        """Learn which part is which sheet, and from which year dates count."""
        names = set(self._archive.namelist())
        if "xl/workbook.xml" not in names:
            return
        book = self._small("xl/workbook.xml")
        self.package.date1904 = _FROM_1904.search(book) is not None
        rels = "xl/_rels/workbook.xml.rels"
        targets = dict(_relations(self._small(rels))) if rels in names else {}
        for sheet in _SHEETS.finditer(book):
            target = targets.get(sheet["id"], "")
            part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
            self.package.parts[_unescaped(sheet["name"])] = part

    def _small(self, name: str) -> bytes:
        with self._archive.open(name) as part:
            return part.read(_LARGEST_INDEX)


def _relations(xml: bytes) -> Iterator[tuple[bytes, str]]:
    for found in re.finditer(rb"<(?:\w+:)?Relationship\s[^>]*>", xml):
        ident = re.search(rb'\sId="([^"]*)"', found.group())
        target = re.search(rb'\sTarget="([^"]*)"', found.group())
        if ident and target:
            yield ident.group(1), _unescaped(target.group(1))


def _unescaped(text: bytes) -> str:
    from html import unescape

    return unescape(text.decode("utf-8", "replace"))


def _place(reference: bytes) -> tuple[int, int]:
    letters = reference.rstrip(b"0123456789")
    column = 0
    for byte in letters:
        column = column * 26 + byte - 64
    return int(reference[len(letters) :]) - 1, column - 1


_MACROS = re.compile(r"(^|/)vbaProject\.bin$|^Basic/|/macrosheets/", re.IGNORECASE)
_LINKS = re.compile(r"^xl/externalLinks/externalLink\d+\.xml$", re.IGNORECASE)
_READ = re.compile(r"^(xl/(worksheets/[^/]+|sharedStrings|styles|workbook)|content)\.xml$", re.I)
_SHEET = re.compile(r"^xl/worksheets/[^/]+\.xml$", re.IGNORECASE)
_DECLARES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_FROM_1904 = re.compile(rb'date1904="(1|true)"')
_SHEETS = re.compile(
    rb'<(?:\w+:)?sheet\s(?=[^>]*?name="(?P<name>[^"]*)")[^>]*?r:id="(?P<id>[^"]*)"'
)
_ERROR = re.compile(
    rb'<c\s(?=[^>]*?r="(?P<ref>[A-Z]{1,3}\d{1,7})")[^>]*?t="e"[^>]*>'
    rb"(?:<f[^>]*>[^<]*</f>|<f[^>]*/>)?<v>(?P<text>#[^<]{1,16})</v>"
)
_UNCACHED = re.compile(rb"(?:</f>|<f[^>]*/>)\s*(?:<v>\s*</v>|<v\s*/>)?\s*</c>")
