"""JSON Lines: one object per line; numbers keep the digits they are written with.

A block of lines is parsed at once by orjson. It would round numbers, so where there are any they
are put in quotes first, behind a noncharacter (Unicode 23.7) that no text holds and that is taken
off again; a text that only looks like a number inside a string makes the block no JSON any more,
and
its lines are then read one by one by the standard library, which can keep digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import BadInput, TruncatedFile
from safehands.ingest.limits import BLOCK
from safehands.ingest.source import Source
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd
from safehands.ingest.text import Utf8Stream

__all__ = ["JsonTable"]

_Record = dict[str, Any]
_Rows = tuple[list[int], list[_Record]]


class JsonTable:
    """A JSON Lines file as a raw table: its columns are all keys of all records.

    A line that is no JSON object is set aside as ``row_unreadable``; a cut last line raises
    ``TruncatedFile``.
    """

    sheet = ""

    def __init__(self, source: Source, encoding: str) -> None:
        self.odd: list[Odd] = []
        self.info: dict[str, Any] = {}
        self._source, self._encoding, self._label = source, encoding, source.label
        keys: dict[str, None] = {}
        first: list[tuple[int, _Record]] = []
        for numbers, records in self._blocks(only_keys_after=HEAD_LINES):
            keys.update(dict.fromkeys(chain.from_iterable(records)))
            self._check_width(len(keys))
            missing = HEAD_LINES - len(first)
            first += list(zip(numbers[:missing], records[:missing], strict=True))
        self._keys = list(keys)
        self.head = [Line(0, tuple(self._keys))]
        self.head += [
            Line(row, tuple(_cell(r.get(k)) or "" for k in self._keys)) for row, r in first
        ]

    def _check_width(self, width: int) -> None:
        limit = self._source.limits.columns
        if width > limit:
            raise BadInput("ingest.too_many_columns", file=self._label, row=1, limit=limit)

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all records; their numbers are line numbers."""
        del header, width
        self.odd.clear()
        for numbers, records in self._blocks():
            columns = {i: _column(records, self._keys[i]) for i in wanted}
            yield Batch(columns, pa.array(numbers, pa.int32()))

    def _blocks(self, only_keys_after: int = 0) -> Iterator[_Rows]:
        """Yield rows by blocks; of blocks after so many rows perhaps only the keys are right."""
        with self._source.open_part() as handle:
            stream = Utf8Stream(handle, self._encoding, self._label)
            part = self._source.part
            row, carry = (part.row if part else 1), b""
            while block := stream.read(BLOCK):
                whole = carry + block
                end = whole.rfind(b"\n") + 1
                carry = whole[end:]
                if len(carry) > BLOCK:
                    limit = BLOCK // 1024
                    raise BadInput("ingest.row_too_long", file=self._label, limit=limit)
                lines = whole[:end].split(b"\n")[:-1]
                yield self._records(lines, row, exact=not 0 < only_keys_after < row)
                row += len(lines)
            if carry.strip():
                yield self._last(carry, row)
            self._source.check_digest(stream.digest)

    def _records(self, lines: list[bytes], start: int, exact: bool) -> _Rows:
        parsed = _parse_all(lines, exact)
        if parsed is not None:
            return list(range(start, start + len(lines))), parsed
        numbers, records = [], []
        for number, line in enumerate(lines, start):
            record = _parse_one(line)
            if record is not None:
                numbers.append(number)
                records.append(record)
            elif line.strip():
                self.odd.append(Odd(number, "row_unreadable"))
        return numbers, records

    def _last(self, line: bytes, row: int) -> _Rows:
        record = _parse_one(line)
        if record is None:
            raise TruncatedFile("ingest.cut_record", file=self._label, row=row)
        return [row], [record]


# A number that stands for itself: behind a colon, comma or bracket and in front of the like.
_NUMBER = re.compile(rb"([:,\[]\s*)(-?\d[\d.eE+\-]*)(?=\s*[,\]}])")
_MARK = "\ufdd0"
_OPENING = b'"' + _MARK.encode()
_NESTED = re.compile(f'"{_MARK}([^"]*)"')


def _parse_all(lines: list[bytes], exact: bool) -> list[_Record] | None:
    """Return the records of ``lines`` if each is an object of its own, else nothing.

    ``exact``: with every digit of their numbers.
    """
    bare = [line.strip() for line in lines]
    if not all(line[:1] == b"{" and line[-1:] == b"}" for line in bare):
        return None
    try:
        whole = b"[" + b",\n".join(bare) + b"]"
        records = orjson.loads(whole)
        if exact and not _without_numbers(records):
            records = orjson.loads(_NUMBER.sub(_quoted, whole))
    except (orjson.JSONDecodeError, RecursionError):
        return None
    all_there = len(records) == len(bare) and all(type(record) is dict for record in records)
    return records if all_there else None


def _without_numbers(records: list[Any]) -> bool:
    """Say whether no value is a number or may hold one: then nothing was rounded."""
    values = chain.from_iterable(r.values() for r in records if type(r) is dict)
    return {str, bool, type(None)}.issuperset(map(type, values))


def _quoted(found: re.Match[bytes]) -> bytes:
    return found[1] + _OPENING + found[2] + b'"'


def _parse_one(line: bytes) -> _Record | None:
    try:
        found = _DECODER.decode(line.decode().strip())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _column(records: list[_Record], key: str) -> pa.Array:
    cells = [record.get(key) for record in records]
    if set(map(type, cells)) <= {str, type(None)}:
        column = pa.array([cell or None for cell in cells], pa.string())
    else:
        column = pa.array([_cell(cell) for cell in cells], pa.string())
    return pc.replace_substring(column, _MARK, "", max_replacements=1)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return (value or "").removeprefix(_MARK) or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return _NESTED.sub(r"\1", json.dumps(value, ensure_ascii=False))


_DECODER = json.JSONDecoder(
    parse_int=_MARK.__add__, parse_float=_MARK.__add__, parse_constant=lambda _: ""
)
