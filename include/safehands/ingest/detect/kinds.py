"""The kinds of cells, as a cascade: each cell is the first kind whose detector takes it.

The order goes from what proves itself (check digits, a calendar date) to what is only likely
(names, free text). Regular expressions run over the whole sample; Python looks at distinct
candidates where a check digit or a word list decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.detect.digits import carrier_of, is_id_number, is_old_id_number, is_s10
from safehands.ingest.normalise.addresses import looks_like_address
from safehands.ingest.normalise.names import looks_like_name

__all__ = ["KINDS", "PHONES", "Detector", "Words", "detectors"]

PHONES = ("mobile", "masked_phone", "landline", "phone_tail", "lost_number")
KINDS = (
    *("id_number", "mobile", "masked_phone", "lost_number", "landline", "phone_tail", "time"),
    *("date_digits", "recipient", "waybill", "weight", "money", "carrier", "status", "choice"),
    *("flag", "pickup_code", "shelf", "address", "name", "serial", "number", "count", "text"),
)
"""Every kind a cell can be. ``recipient`` is a name, a phone and an address in one cell;
``date_digits`` and ``serial`` are times only where the header says so too."""

Words = Mapping[str, frozenset[str]]
"""Kind (``carrier``, ``status``, ``choice``, ``flag``) → case-folded words of its closed lists."""

Detector = Callable[[pa.Array], pa.Array]

_COUNTRY = r"(?:(?:\+|00)?86[-\s]?)?"
_EXTENSION = r"(?:\s*(?:转|分机|ext\.?|x|-|,|#|_)\s*\d{1,6})?"
_SHAPES = {
    "mobile": rf"(?i)^(?:手机号?码?[:：]?)?\(?{_COUNTRY}\)?"
    rf"1[3-9]\d[-\s]?\d{{4}}[-\s]?\d{{4}}(?:\.0)?"
    rf"(?:{_EXTENSION}|(?:[\s/、,;|]+1[3-9]\d{{9}})+)$",
    "masked_phone": r"^(?:\+?86)?1[\d*xX•●]{2}[-\s]?[*xX•●]{3,6}[-\s]?[\d*]{2,4}(?:-\d{1,6})?$",
    "lost_number": r"(?i)^\d(?:\.\d+)?e\+?1\d$",
    "landline": rf"^{_COUNTRY}(?:\(?0(?:10|2\d|[3-9]\d\d)\)?[-\s]*\d{{3,4}}[-\s]?\d{{4}}"
    rf"|[48]00[-\s]?\d{{3,4}}[-\s]?\d{{3,4}}|95\d{{3,12}}){_EXTENSION}$",
    "phone_tail": r"^尾号\d{4}$",
    "time": r"^(?:19[7-9]\d|20\d\d)\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}\s*(?:日|号)?"
    r"(?:\s*[(]?(?:星期|礼拜|周)[一二三四五六日天][)]?\s*)?"
    r"(?:[T\s]*(?:凌晨|早上|上午|中午|下午|傍晚|晚上)?\s*\d{1,2}\s*[:时点].*)?$|^1[5-9]\d{8}(?:\d{3})?$",
    "date_digits": r"^(?:199\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r"(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?$",
    "recipient": r"^\{.*1[3-9]\d{9}\D.*\}$"
    r"|\p{Han}{2,}.*[^\dA-Za-z-]1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}(?:\D.*)?$"
    r"|\p{Han}1[3-9]\d{9}(?:\D.*)?$|^1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}\D.*\p{Han}{2,}",
    "weight": r"(?i)^[-+]?\d+(?:\.\d+)?\s*(?:kg|公斤|千克|g|克|斤|两|磅|lb)$",
    "money": r"(?i)^(?:[¥￥]|rmb|cny)\s*[-+]?[\d,]+(?:\.\d+)?(?:\s*元)?$"
    r"|^[-+]?[\d,]+(?:\.\d+)?\s*(?:元|块|圆|角)(?:整)?$",
    "pickup_code": r"^(?:[A-Z]{0,2}\d{1,3}-){1,2}\d{4,5}$|^[A-Z]\d{8}$|^SF\d{6}$",
    "shelf": r"^[A-Z]{1,2}-?\d{1,2}(?:-\d{1,2}){0,2}(?:层|排|架|号)?$"
    r"|^\d{1,2}-\d{1,2}(?:-\d{1,2})?$"
    r"|^(?:\d{1,2}|[A-Z]\d{0,2})(?:号货?架|排|区|层|柜|号柜)(?:\d{1,2}(?:层|排|格))?$",
    "serial": r"^[34]\d{4}(?:\.\d{3,})$",
    "number": r"^[-+]?(?:\d+\.\d+|\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?)$",
    "count": r"^[-+]?\d{1,7}(?:\.0)?$",
}
_WAYBILL = r"^[A-Z]{0,5}\d[A-Z0-9]{6,24}[A-Z]{0,2}(?:-\d+){0,2}-?$"
_NAME = (
    r"^[\p{Han}*]{1,8}$|^\p{Han}+\s?[·•‧・.]\s?[\p{Han}]+|^[A-Z][A-Za-z.' -]+$"
    r"|^\p{Han}[\p{Han} ]{1,8}$|^\p{Han}{1,4}\s?[(（]?\p{Han}{1,3}[)）]?$"
)
_ID = r"^\d{15}$|^\d{17}[\dXx]$"


def detectors(words: Words) -> dict[str, Detector]:
    """Return the detector of every kind but ``text``, in the order in which they are asked."""
    found: dict[str, Detector] = {}
    for kind in KINDS[:-1]:
        if kind in words:
            found[kind] = _words(words[kind])
        elif kind in _CHECKED:
            found[kind] = _CHECKED[kind]
        elif kind in _SHAPES:
            found[kind] = _shape(_SHAPES[kind])
    return found


def _shape(pattern: str) -> Detector:
    return lambda cells: pc.match_substring_regex(cells, pattern)


def _words(known: frozenset[str]) -> Detector:
    listed = pa.array(sorted(known), pa.string())
    return lambda cells: pc.is_in(pc.utf8_lower(cells), value_set=listed)


def _checked(pattern: str, check: Callable[[str], bool]) -> Detector:
    """Return a detector whose candidates, taken by ``pattern``, are looked at one by one."""

    def detect(cells: pa.Array) -> pa.Array:
        likely = pc.match_substring_regex(cells, pattern)
        if not pc.any(likely).as_py():
            return likely
        sure = [check(cell) for cell in cells.filter(likely).to_pylist()]
        return pc.replace_with_mask(likely, likely, pa.array(sure, pa.bool_()))

    return detect


def _is_id(cell: str) -> bool:
    return is_id_number(cell) or is_old_id_number(cell)


_IS_MOBILE = re.compile(r"(?:86)?1[3-9]\d{9}")
_HAS_MOBILE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")


def _is_waybill(cell: str) -> bool:
    if _IS_MOBILE.fullmatch(cell) or is_id_number(cell):
        return False
    # Eight letters and digits can be anything; from ten digits on hardly anything else is.
    return bool(carrier_of(cell)) or is_s10(cell) or sum(c.isdigit() for c in cell) >= 9


def _is_address(cell: str) -> bool:
    return looks_like_address(cell) and not _HAS_MOBILE.search(cell)


_CHECKED: dict[str, Detector] = {
    "id_number": _checked(_ID, _is_id),
    "waybill": _checked(_WAYBILL, _is_waybill),
    "address": _checked(r"\p{Han}.*\p{Han}", _is_address),
    "name": _checked(_NAME, looks_like_name),
}
