"""Check digits: resident ID numbers, international postal items, and the waybills of carriers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

__all__ = [
    "CARRIER_WAYBILLS",
    "carrier_of",
    "is_id_number",
    "is_old_id_number",
    "is_s10",
    "unusual",
]

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
_ID = re.compile(r"(\d{6})(\d{4})(\d\d)(\d\d)\d{3}[\dX]")
_OLD_ID = re.compile(r"(\d{6})(\d\d)(\d\d)(\d\d)\d{3}")


def is_id_number(text: str) -> bool:
    """Say whether ``text`` is a resident ID number: area, date of birth, check (GB 11643-1999)."""
    found = _ID.fullmatch(text.upper())
    if found is None or found.group(1)[:2] not in _PROVINCES:
        return False
    if not 1900 <= int(found.group(2)) <= 2100 or not _is_day(*found.group(2, 3, 4)):
        return False
    total = sum(int(c) * w for c, w in zip(text[:17], _ID_WEIGHTS, strict=True))
    return _ID_CHECK[total % 11] == text[17].upper()


def is_old_id_number(text: str) -> bool:
    """Say whether ``text`` can be an ID number of 15 digits (before 1999, without a check)."""
    found = _OLD_ID.fullmatch(text)
    if found is None or found.group(1)[:2] not in _PROVINCES or found.group(1)[2:4] == "00":
        return False
    return _is_day("19" + found.group(2), *found.group(3, 4))


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


_S10 = re.compile(r"[A-Z]{2}(\d{8})(\d)[A-Z]{2}")
_S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


def is_s10(text: str) -> bool:
    """Say whether ``text`` is a postal item identifier with a right check digit (UPU S10)."""
    found = _S10.fullmatch(text)
    if found is None:
        return False
    rest = sum(int(c) * w for c, w in zip(found.group(1), _S10_WEIGHTS, strict=True)) % 11
    return {0: 5, 1: 0}.get(rest, 11 - rest) == int(found.group(2))


CARRIER_WAYBILLS: dict[str, str] = {
    "sf": r"SF\d{12,13}|\d{12}",
    "yto": r"YT\d{13}|[DGV]\d{9}|[A-Z]\d{11}|8\d{17}",
    "zto": r"7\d{13,14}|[2-9]\d{11}",
    "sto": r"77\d{13}|[2-9]\d{12}|44\d{11}",
    "yunda": r"[34]\d{12,14}|4[36]\d{13}",
    "jt": r"JT\d{13}|JT[A-Z]\d{12}",
    "jd": r"JD[A-Z0-9]{11,18}(?:-\d+-\d+-?)?",
    "ems": r"[A-Z]{2}\d{9}[A-Z]{2}|1[0-3]\d{11}|9\d{12}",
    "deppon": r"DPK\d{10,14}|DP[A-Z]?\d{10,14}",
    "cainiao": r"(?:CN|DN|LP)\d{11,17}",
}
"""Shapes seen on parcels of each carrier. Real numbers break them: a number that fits none is
worth a warning, never a refusal."""

_BY_CARRIER = {name: re.compile(shape) for name, shape in CARRIER_WAYBILLS.items()}


def carrier_of(text: str) -> tuple[str, ...]:
    """Return the carriers whose numbers look like ``text``; an S10 look-alike must check."""
    fits = [name for name, shape in _BY_CARRIER.items() if shape.fullmatch(text)]
    if "ems" in fits and _S10.fullmatch(text) and not is_s10(text):
        fits.remove("ems")
    return tuple(fits)


def unusual(cells: Iterable[str]) -> int:
    """Count the filled cells that look like no carrier's waybill: a warning, never a refusal."""
    texts = (cell.strip(" \t'\"").upper() for cell in cells)
    return sum(not carrier_of(text) for text in texts if text)
