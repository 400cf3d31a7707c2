"""What a column's cells look like: does a sample agree with the kind its header promises?

Only the bluntest question is answered: can these cells be what the header says? Unusual carriers'
numbers, foreign phones or new words are no disagreement. Samples are looked at, never shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from safehands.policy import CodeList, FieldRule

__all__ = ["agrees", "surely"]

_ENOUGH = 5
"""With fewer filled cells only a column that looks like something else altogether disagrees."""

_SHAPES = {
    "mobile": re.compile(r"(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?:\.0)?"),
    "phone": re.compile(
        r"[+\d(][\d()\- ]{6,18}(?:\.0)?(?:\s*(?:转|,|-|#|ext\.?)\s*\d{1,6})?|\d{4}"
        r"|\d[\d.]*E\+?\d+|(?:\+?86)?[\d*x]{4,}(?:-?\d{1,6})?|尾号\d{4}"
        r"|(?:.*\D)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?:\D.*)?",
        re.IGNORECASE,
    ),
    "waybill": re.compile(r"[A-Z0-9][A-Z0-9\-_/ ]{4,39}(?:\.0+)?|\d[\d.]*E\+?\d+", re.IGNORECASE),
    "time": re.compile(
        r"\d{4}\D\d{1,2}\D\d{1,2}\D?.*|\d{8}(?:\d{4}|\d{6})?|\d{5}(?:\.\d+)?|1\d{9}(?:\d{3})?"
    ),
    "number": re.compile(r"[-+]?[\d.,]+(?:E[-+]?\d+)?\s*[a-z\u4e00-\u9fff]{0,3}", re.IGNORECASE),
    "digits": re.compile(r".*\d{5,}.*", re.DOTALL),
}
_WANTED = {"phone": "phone", "waybill": "waybill", "time": "time"}
_BARE = re.compile(r'^[\s\'"=]+|[\s\'"]+$')


def agrees(rule: FieldRule, sample: Sequence[str]) -> bool:
    """Say whether the filled cells of ``sample`` can be what ``rule`` describes."""
    cells = _bare(sample)
    if not cells:
        return True
    if rule.type in _WANTED:
        return _fits(cells, _WANTED[rule.type]) and not _strange(rule.type, cells)
    if rule.type in {"weight", "money", "count"}:
        return _fits(cells, "number") and _share(cells, "mobile") < _MOST
    limit = _HALF if rule.type == "name" else _MOST
    return _share(cells, "digits" if rule.type in {"name", "code", "flag"} else "mobile") < limit


def surely(rule: FieldRule, codes: CodeList | None, sample: Sequence[str]) -> bool:
    """Say whether the cells speak for ``rule`` so clearly that an ambiguous header is believed."""
    cells = _bare(sample)
    if not cells or not agrees(rule, sample):
        return False
    if codes is not None:
        return sum(cell.casefold() in codes.by_word for cell in cells) > _HALF * len(cells)
    if rule.type == "waybill":
        long = [len(cell) >= 8 and any(c.isdigit() for c in cell) for cell in cells]
        return sum(long) >= _MOST * len(cells) and _share(cells, "waybill") >= _MOST
    return rule.type in _WANTED and _share(cells, _WANTED[rule.type]) >= _MOST


_HALF, _MOST = 0.5, 0.8


def _bare(sample: Sequence[str]) -> list[str]:
    texts = (_BARE.sub("", unicodedata.normalize("NFKC", cell)) for cell in sample)
    return [text for text in texts if text and text not in {"-", "/", "NULL", "null", "无"}]


def _share(cells: Sequence[str], shape: str) -> float:
    pattern = _SHAPES[shape]
    return sum(pattern.fullmatch(cell) is not None for cell in cells) / len(cells)


def _fits(cells: Sequence[str], shape: str) -> bool:
    share = _share(cells, shape)
    return share > 0 if len(cells) < _ENOUGH else share >= _HALF


def _strange(kind: str, cells: Sequence[str]) -> bool:
    # A waybill number may be eleven digits, but a column in which all are mobiles is one of phones.
    return kind == "waybill" and _share(cells, "mobile") >= _MOST
