"""Bytes to text: which encoding a file is in, and the file as a stream of UTF-8.

Detection looks at the beginning only and names candidates in order of likelihood; the stream then
decodes strictly to the end, and a candidate that fails there is given up for the next one. GB18030
stands for GB2312 and GBK, which it contains. Nothing is ever replaced by U+FFFD.

Not promised: GB18030 and Big5 share most byte pairs. Which of the two a text is in is judged by how
many of its characters belong to the common ones of each, so a text of a few characters may be taken
for the wrong one; its header is then not found and the file is refused, not misread.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from safehands.errors import TruncatedFile, WrongEncoding

__all__ = ["HEAD_BYTES", "Utf8Stream", "candidates", "head_text"]

HEAD_BYTES = 256 * 1024
"""How much of a file is looked at to find encoding, delimiter, header and column kinds."""

_BLOCK = 4 * 1024 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ODD_CHARACTERS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]")
_MOSTLY = 0.01
_DECISIVE = 12  # Text in another encoding that passes for UTF-8 over a dozen bytes is not met.


def candidates(head: bytes, file: str) -> list[str]:
    """Return the encodings to try, likeliest first; ``head`` is the file's beginning.

    Raises ``WrongEncoding`` when no encoding we read could hold these bytes.
    """
    for bom, name in _BOMS:
        if head.startswith(bom):
            return [name]
    if b"\0" in head:
        return [_utf16(head, file)]
    utf8 = _decodes(head, "utf-8")
    if utf8 and sum(byte > 0x7F for byte in head[:4096]) > _DECISIVE:
        return ["utf-8"]
    others = [name for name in _chinese(head) if _decodes(head, name)]
    if not utf8 and not others:
        raise WrongEncoding("ingest.wrong_encoding", file=file)
    return ["utf-8", *others] if utf8 else others


def head_text(head: bytes, encoding: str, file: str) -> str:
    """Decode the beginning of a file, without BOM; a character cut at the end is left off.

    Raises ``WrongEncoding`` when more than one character in a hundred is a control character.
    """
    body = head[_bom_length(head, encoding) :]
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(body, final=False)
    except UnicodeDecodeError:
        raise WrongEncoding("ingest.wrong_encoding", file=file) from None
    if len(_ODD_CHARACTERS.findall(text)) > _MOSTLY * len(text):
        raise WrongEncoding("ingest.wrong_encoding", file=file)
    return text


class Utf8Stream(io.RawIOBase):
    """A file as UTF-8 bytes from ``skip`` bytes of text onwards, with what is learnt on the way.

    ``digest`` (SHA-256 hex of the raw bytes) and ``newlines``, ``quotes`` and ``tail`` (of the
    text after ``skip``) are complete once ``read`` has returned nothing. Problems are kept in
    ``problem`` as well as raised, because a caller in C++ may wrap what passes through it.
    """

    def __init__(self, raw: BinaryIO, encoding: str, file: str, skip: int = 0) -> None:
        self.problem: TruncatedFile | WrongEncoding | None = None
        self.quotes = self.newlines = 0
        self.tail = b""
        self._file, self._skip, self._hash = file, skip, hashlib.sha256()
        self._blocks = self._utf8_blocks(raw) if encoding == "utf-8" else self._other(raw, encoding)
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
        parts, missing = [], _BLOCK if size is None or size < 0 else size
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
        self.quotes += block.count(b'"', start)
        self.tail = (self.tail + block[start:][-_TAIL:])[-_TAIL:]

    def _raw_blocks(self, raw: BinaryIO, size: int) -> Iterator[bytes]:
        while block := raw.read(size):
            self._hash.update(block)
            yield block

    def _utf8_blocks(self, raw: BinaryIO) -> Iterator[bytes]:
        carry, first = b"", True
        for block in self._raw_blocks(raw, _BLOCK):
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
        for block in self._raw_blocks(raw, _BLOCK // 2):
            body = block[_bom_length(block, encoding) :] if first else block
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
            self._wrong()

    def _wrong(self) -> None:
        self.problem = WrongEncoding("ingest.wrong_encoding", file=self._file)
        raise self.problem from None

    def _cut(self) -> None:
        self.problem = TruncatedFile("ingest.cut_character", file=self._file)
        raise self.problem from None


_TAIL = 64 * 1024


def _character_end(block: bytes) -> int:
    # The last character may be cut: step back over its continuation bytes (RFC 3629).
    end = len(block)
    for back in range(1, min(4, end) + 1):
        byte = block[end - back]
        if byte & 0xC0 != 0x80:
            needed = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return end if back >= needed else end - back
    return end


def _bom_length(head: bytes, encoding: str) -> int:
    return next((len(bom) for bom, name in _BOMS if name == encoding and head.startswith(bom)), 0)


def _utf16(head: bytes, file: str) -> str:
    # Without a BOM, the zero bytes of ASCII characters (digits, delimiters) give the order away.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if min(even, odd) * 20 > max(even, odd) or max(even, odd) * 10 < len(head):
        raise WrongEncoding("ingest.wrong_encoding", file=file)
    return "utf-16-le" if odd > even else "utf-16-be"


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _chinese(head: bytes) -> tuple[str, str]:
    first = _common(head, "gb18030", "gb2312") >= _common(head, "big5", "big5")
    return ("gb18030", "big5") if first else ("big5", "gb18030")


def _common(head: bytes, encoding: str, inner: str) -> float:
    """Return the share of common characters (level 1 of the national set) among non-ASCII ones."""
    text = head.decode(encoding, errors="replace")
    wide = [c for c in text if c > "\x7f"][:4096]
    level = sum(_level_one(c.encode(inner, errors="ignore"), inner) for c in wide)
    return level / len(wide) if wide else 0.0


def _level_one(pair: bytes, inner: str) -> bool:
    if len(pair) != 2:
        return False
    low, high = (0xB0, 0xD7) if inner == "gb2312" else (0xA4, 0xC6)
    return low <= pair[0] <= high or pair[0] in (0xA1, 0xA3)
