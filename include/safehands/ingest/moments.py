"""Times as stations write them, to instants.

Wall time is Asia/Shanghai (UTC+08:00, without daylight saving since 1992) unless the cell carries
an offset. Read are ISO 8601 and its look-alikes with ``/``, ``.`` or 年月日, with 上午, 下午, AM or
PM and a day of the week, eight, twelve and fourteen digits, spreadsheet serial numbers and Unix
times. Between 1992 and 2100; anything else is
unreadable rather than guessed, above all day-first and month-first dates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["moments"]

_UTC = pa.timestamp("us", "UTC")
_HOUR = 3_600_000_000
_SHANGHAI = 8 * _HOUR
_EARLIEST = np.datetime64("1992-01-01", "us").astype(np.int64)
_LATEST = np.datetime64("2100-01-01", "us").astype(np.int64)

_ISO = r"^[12]\d{3}-\d\d-\d\d[ T]\d\d:\d\d:\d\d$"
_SHAPE = (
    r"^(?P<y>\d{4})(?:[-/.]|年)(?P<m>\d{1,2})(?:[-/.]|月)(?P<d>\d{1,2})日?"
    r"(?:[T\s]*(?P<a>凌晨|早上|上午|中午|下午|傍晚|晚上)?\s*(?P<h>\d{1,2})(?:[:时点]|时)"
    r"(?:(?P<i>\d{1,2})(?:[:分](?:(?P<s>\d{1,2})(?:[.,](?P<f>\d{1,9}))?秒?)?)?)?"
    r"\s*(?P<p>[AaPp]\.?[Mm]\.?)?)?"
    r"\s*(?:GMT|UTC)?(?P<z>Z|z|UTC|[+-]\d{1,2}:?\d\d|[+-]\d{1,2})?(?: CST)?$"
)
# A day of the week among the date, and a date of eight digits before a time.
_WEEKDAY = r"\s*[(]?(?:星期|礼拜|周)[一二三四五六日天][)]?\s*"
_RUN_TOGETHER = r"^(\d{4})(\d\d)(\d\d)[ T_-]+(\d{1,2}:.*)$"
_WRITTEN = r"[期周]|^\d{8}[ T_-]"
_NOTHING = r"(?i)^(0000[-/]00[-/]00.*|null|nan|nat|none|n/a|\\n|无|/|-+|)$"


def moments(
    column: pa.Array, date1904: bool, tidy: Callable[[pa.Array], pa.Array] = lambda odd: odd
) -> tuple[pa.Array, pa.Array]:
    """Return the instants of a column (microseconds, UTC) and which filled cells are unreadable.

    ``date1904``: serial numbers count from 1904, as in workbooks made on older Macs. ``tidy``
    is applied to cells that are not plain ISO 8601 before they are read.
    """
    if pa.types.is_timestamp(column.type):
        return _checked(_typed(column), pc.is_valid(column))
    iso = pc.match_substring_regex(column, _ISO)
    rest = pc.invert(pc.fill_null(iso, True))
    iso = pc.fill_null(iso, False)
    values = _iso(column, iso)
    if pc.any(rest).as_py():
        texts = tidy(column.filter(rest))
        texts = pc.if_else(pc.match_substring_regex(texts, _NOTHING), None, texts)
        column = pc.replace_with_mask(column, rest, texts)
    odd = pc.and_(pc.is_valid(column), pc.is_null(values))
    if pc.any(odd).as_py():
        values = pc.replace_with_mask(values, odd, _odd(column.filter(odd), date1904))
    return _checked(values, pc.is_valid(column))


def _typed(column: pa.Array) -> pa.Array:
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return micros if column.type.tz else pc.subtract(micros, _SHANGHAI)


def _iso(column: pa.Array, iso: pa.Array) -> pa.Array:
    """Read the common form by Arrow's parser; all null when one date is not in the calendar."""
    texts = pc.if_else(iso, column, None)
    try:
        return pc.subtract(texts.cast(pa.timestamp("us")).cast(pa.int64()), _SHANGHAI)
    except pa.ArrowInvalid:
        return pa.nulls(len(column), pa.int64())


def _checked(micros: pa.Array, filled: pa.Array) -> tuple[pa.Array, pa.Array]:
    inside = pc.and_(pc.greater_equal(micros, _EARLIEST), pc.less(micros, _LATEST))
    inside = pc.fill_null(inside, False)
    values = pc.if_else(inside, micros, None).cast(_UTC)
    return values, pc.and_(filled, pc.invert(inside))


def _odd(texts: pa.Array, date1904: bool) -> pa.Array:
    values = _shaped(texts)
    left = pc.is_null(values)
    if not pc.any(left).as_py():
        return values
    rest = texts.filter(left).dictionary_encode()
    read = [_number(text, date1904) for text in rest.dictionary.to_pylist()]
    return pc.replace_with_mask(values, left, pa.array(read, pa.int64()).take(rest.indices))


def _shaped(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(texts, _WRITTEN)).as_py():
        texts = pc.replace_substring_regex(texts, _WEEKDAY, " ")
        texts = pc.replace_substring_regex(texts, _RUN_TOGETHER, r"\1-\2-\3 \4")
    parts = pc.extract_regex(texts, _SHAPE)
    text = {name: pc.struct_field(parts, name) for name in "ymdhisfzap"}
    y, m, d, h, i, s = (_ints(text[name]) for name in "ymdhis")
    h = _of_day(h, text["a"], text["p"])
    months = (y - 1970) * 12 + m - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    day = first + (d - 1)
    valid = (m >= 1) & (m <= 12) & (d >= 1) & (h < 24) & (i < 60) & (s < 60)
    valid &= (day.astype("datetime64[M]").astype(np.int64) == months) & (y > 0)
    micros = day.astype("datetime64[us]").astype(np.int64)
    micros += ((h * 60 + i) * 60 + s) * 1_000_000 + _fraction(text["f"]) - _offset(text["z"])
    return pa.array(micros, pa.int64(), mask=~valid)


def _of_day(hours: npt.NDArray[np.int64], words: pa.Array, suffix: pa.Array) -> Any:
    """Return hours of 24; one that its word does not allow becomes 99 (上午 12, 晚上 12)."""
    halves = pc.utf8_upper(pc.replace_substring(suffix, ".", ""))
    half = pc.if_else(pc.equal(words, ""), halves, words)
    encoded = pc.fill_null(half, "").dictionary_encode()
    kinds = encoded.dictionary.to_pylist()
    if kinds in ([], [""]):
        return hours
    table = np.array([[_hour(kind, hour) for hour in range(25)] for kind in kinds])
    index = encoded.indices.to_numpy(zero_copy_only=False)
    return table[index, np.minimum(hours, 24)]


def _hour(half: str, hour: int) -> int:
    if half == "中午" and hour in {1, 2}:
        return hour + 12
    if half in _HALVES:
        first, last, plus = _HALVES[half]
        if first <= hour <= last:
            return hour % 12 + plus if half in {"AM", "PM"} or hour < 12 else hour
        return hour if half not in {"AM", "PM"} and hour in range(13, 24) and plus else 99
    return hour


# Word → the hours it goes with on a twelve-hour clock, and what it adds to them.
_HALVES = {
    "AM": (1, 12, 0),
    "PM": (1, 12, 12),
    "凌晨": (0, 6, 0),
    "早上": (4, 11, 0),
    "上午": (5, 11, 0),
    "中午": (11, 12, 0),
    "下午": (1, 12, 12),
    "傍晚": (4, 8, 12),
    "晚上": (5, 11, 12),
}


def _ints(texts: pa.Array) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(pc.if_else(pc.equal(texts, ""), "0", texts), "0")
    return np.asarray(filled.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _fraction(texts: pa.Array) -> npt.NDArray[np.int64]:
    padded = pc.utf8_rpad(pc.utf8_slice_codeunits(texts, 0, 6), 6, "0")
    return _ints(padded)


def _offset(zones: pa.Array) -> npt.NDArray[np.int64]:
    encoded = pc.fill_null(zones, "").dictionary_encode()
    offsets = np.array([_zone(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    picked: npt.NDArray[np.int64] = offsets[encoded.indices.to_numpy(zero_copy_only=False)]
    return picked


def _zone(text: str) -> int:
    if not text:
        return _SHANGHAI
    if text.upper() in {"Z", "UTC"}:
        return 0
    hours, _, minutes = text[1:].partition(":")
    hours, minutes = (hours, minutes) if len(hours) < 3 else (hours[:-2], hours[-2:])
    digits = hours.rjust(2, "0") + (minutes or "00")
    sign = -1 if text[0] == "-" else 1
    return sign * (int(digits[:2]) * _HOUR + int(digits[2:]) * 60_000_000)


_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?")
_SERIAL = re.compile(r"[1-9]\d{4}(?:\.\d+)?")
_UNIX = re.compile(r"1\d{9}(?:\d{3})?")


def _number(text: str, date1904: bool) -> int | None:
    """Read a time that is written as one number; a serial number is wall time, a Unix time UTC."""
    if _UNIX.fullmatch(text):
        return int(text.ljust(13, "0")) * 1000
    if _SERIAL.fullmatch(text):
        epoch = np.datetime64("1904-01-01" if date1904 else "1899-12-30", "us").astype(np.int64)
        # Serials are binary fractions of a day: to the millisecond they are exact.
        return int(epoch) + round(float(text) * 86_400_000) * 1000 - _SHANGHAI
    found = _COMPACT.fullmatch(text)
    return _calendar(*(int(part or 0) for part in found.groups())) if found else None


def _calendar(y: int, m: int, d: int, h: int, i: int, s: int) -> int | None:
    try:
        moment = np.datetime64(f"{y:04}-{m:02}-{d:02}T{h:02}:{i:02}:{s:02}", "us")
    except ValueError:
        return None
    return int(moment.astype(np.int64)) - _SHANGHAI
