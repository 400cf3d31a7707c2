"""Bytes to text: a file as a stream of UTF-8.

The stream decodes strictly to the end; an encoding that fails there is given up for the next one
(see ``encodings``). GB18030 stands for GB2312 and GBK, which it contains. Nothing is ever replaced
by U+FFFD.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from safehands.errors import BadInput, TruncatedFile, WrongEncoding
from safehands.ingest.dialect import Dialect
from safehands.ingest.encodings import HEAD_BYTES, bom_length
from safehands.ingest.limits import BLOCK
from safehands.ingest.rewrite import rewritten

__all__ = ["HEAD_BYTES", "Utf8Stream", "head_text", "lines_of"]

_ODD_CHARACTERS = re.compile("[\x00\x02-\x08\x0b\x0e-\x1b\x7f\ufffd]")
_MOSTLY = 0.01
_TAIL = 64 * 1024


def head_text(head: bytes, encoding: str, file: str) -> str:
    """Decode the beginning of a file, without BOM; a character cut at the end is left off.

    Raises ``WrongEncoding`` when more than one character in a hundred is a control character.
    """
    body = head[bom_length(head, encoding) :]
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(body, final=False)
    except UnicodeDecodeError:
        raise WrongEncoding("ingest.wrong_encoding", file=file) from None
    if len(_ODD_CHARACTERS.findall(text)) > _MOSTLY * len(text):
        raise WrongEncoding("ingest.wrong_encoding", file=file)
    return text


class Utf8Stream(io.RawIOBase):
    """A file as UTF-8 bytes from ``skip`` bytes of text onwards, with what is learnt on the way.

    With a ``dialect`` that is not plain, the text is in its normal form (see ``rewrite``), and so
    is ``skip``. ``digest`` (SHA-256 hex of the raw bytes) and ``newlines``, ``quotes`` and
    ``tail`` (of the
    text after ``skip``) are complete once ``read`` has returned nothing. Problems are kept in
    ``problem`` as well as raised, because a caller in C++ may wrap what passes through it.
    """

    def __init__(
        self,
        raw: BinaryIO,
        encoding: str,
        file: str,
        skip: int = 0,
        dialect: Dialect | None = None,
    ) -> None:
        self.problem: BadInput | None = None
        self.quotes = self.newlines = 0
        self.tail = b""
        self._quote = (dialect.quote.encode() if dialect else b"") or b'"'
        self._file, self._skip, self._hash = file, skip, hashlib.sha256()
        self._blocks = self._utf8_blocks(raw) if encoding == "utf-8" else self._other(raw, encoding)
        if dialect is not None and not dialect.plain:
            self._blocks = self._normal(self._blocks, dialect)
        self._rest = memoryview(b"")

    @property
    def digest(self) -> str:
        """SHA-256 of the raw bytes read so far, as hex."""
        return self._hash.hexdigest()

    def readable(self) -> bool:
        """Say that this stream is for reading."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end.

        Short answers would be blocks of their own to Arrow, and one without a line end an error.
        """
        parts, missing = [], BLOCK if size is None or size < 0 else size
        while missing and (part := self._some(missing)):
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, size: int) -> bytes:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = self._after_skip(block)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def _after_skip(self, block: bytes) -> memoryview:
        dropped = min(self._skip, len(block))
        self._skip -= dropped
        rest = memoryview(block)[dropped:]
        if rest:
            self._count(block, dropped)
        return rest

    def _count(self, block: bytes, start: int) -> None:
        self.newlines += block.count(b"\n", start)
        self.quotes += block.count(self._quote, start)
        self.tail = (self.tail + block[start:][-_TAIL:])[-_TAIL:]

    def _normal(self, blocks: Iterator[bytes], dialect: Dialect) -> Iterator[bytes]:
        records, size = [], 0
        try:
            for record in rewritten(lines_of(blocks), dialect):
                records.append(record)
                size += len(record)
                if size > BLOCK // 4:
                    yield "".join(records).encode()
                    records, size = [], 0
        except csv.Error:
            limit = BLOCK // 1024
            self.problem = BadInput("ingest.row_too_long", file=self._file, limit=limit)
            raise self.problem from None
        yield "".join(records).encode()

    def _raw_blocks(self, raw: BinaryIO, size: int) -> Iterator[bytes]:
        while block := raw.read(size):
            self._hash.update(block)
            yield block

    def _utf8_blocks(self, raw: BinaryIO) -> Iterator[bytes]:
        carry, first = b"", True
        for block in self._raw_blocks(raw, BLOCK):
            whole = carry + (block.removeprefix(codecs.BOM_UTF8) if first else block)
            end, first = _character_end(whole), False
            self._check_utf8(whole, end)
            carry = whole[end:]
            yield whole[:end]
        if carry:
            self._cut()

    def _check_utf8(self, block: bytes, end: int) -> None:
        # Arrow validates at memory speed; Python's decoder would also build the text.
        offsets = pa.py_buffer(struct.pack("=qq", 0, end))
        binary = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(block)])
        try:
            binary.cast(pa.large_string())
        except pa.ArrowInvalid:
            self._wrong()
        self._check_nul(block)

    def _other(self, raw: BinaryIO, encoding: str) -> Iterator[bytes]:
        decoder, first = codecs.getincrementaldecoder(encoding)("strict"), True
        # Two bytes of GB18030 or UTF-16 become up to three of UTF-8.
        for block in self._raw_blocks(raw, BLOCK // 2):
            body = block[bom_length(block, encoding) :] if first else block
            first = False
            yield self._decoded(decoder, body)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            self._cut()

    def _decoded(self, decoder: codecs.IncrementalDecoder, body: bytes) -> bytes:
        try:
            block = decoder.decode(body).encode("utf-8")
        except UnicodeError:
            self._wrong()
        self._check_nul(block)
        return block

    def _check_nul(self, block: bytes) -> None:
        if b"\0" in block:
            self.problem = WrongEncoding("ingest.nul_bytes", file=self._file)
            raise self.problem

    def _wrong(self) -> None:
        self.problem = WrongEncoding("ingest.wrong_encoding", file=self._file)
        raise self.problem from None

    def _cut(self) -> None:
        self.problem = TruncatedFile("ingest.cut_character", file=self._file)
        raise self.problem from None


def _character_end(block: bytes) -> int:
    # The last character may be cut: step back over its continuation bytes (RFC 3629).
    end = len(block)
    for back in range(1, min(4, end) + 1):
        byte = block[end - back]
        if byte & 0xC0 != 0x80:
            needed = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return end if back >= needed else end - back
    return end


def lines_of(blocks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of UTF-8 blocks of whole characters, each with its line end."""
    carry = ""
    for block in blocks:
        lines = list(io.StringIO(carry + block.decode("utf-8"), newline=""))
        # The last line may go on in the next block, and so may a line end of two characters.
        carry = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        if len(carry) > BLOCK:
            raise csv.Error("line too long")
        yield from lines
    if carry:
        yield carry
