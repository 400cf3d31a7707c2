"""One phone cell as a person wrote it, to a number and its kind.

Kinds: 0 missing, 1 mobile (eleven digits), 2 masked, 3 landline, 4 virtual or privacy number with
extension, 5 tail of four digits, 6 foreign or unknown but phone-like. See MIIT's numbering plan
(电信网编号计划, 2017) for the shapes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["Phone", "read_phone"]


@dataclass(frozen=True)
class Phone:
    """What a cell says. ``fault`` is a quarantine rule, or empty."""

    value: str | None
    kind: int
    fault: str = ""

    def __repr__(self) -> str:
        return f"Phone(kind={self.kind})"


_LOST = re.compile(r"\d(?:\.\d+)?[eE]\+?\d+")
_NOTHING = re.compile(r"(?i)(?:null|nan|none|n/a|\\n|无|/|-+)?")
_LABEL = re.compile(
    r"(?i)^(?:手机号?码?|电话号?码?|联系电话|tel|phone|mobile|m)\s*[.:]?\s*(?=[+\d(])"
)
_EXTENSION = r"(?:\s*(?:转|分机|ext\.?|x|-|,|#|_|\[|【|\()\s*(\d{1,6})[\]】)]?)"
# A country code, in brackets or not, or the trunk prefix that people dial before a mobile.
_COUNTRY = r"(?:\(?(?:\+|00)?86\)?[-\s]*)?"
_TRUNK = r"(?:0(?=1[3-9]))?"
_MOBILE = re.compile(rf"(?<!\d){_COUNTRY}{_TRUNK}(1[3-9]\d)[-\s]?(\d{{4}})[-\s]?(\d{{4}})(?!\d)")
_BETWEEN = re.compile(r"[\s/,、;|或和&+]*")
_LANDLINE = re.compile(
    rf"{_COUNTRY}\(?(0(?:10|2\d|[3-9]\d\d))\)?[-\s]*(\d{{3,4}})[-\s]?(\d{{4}}){_EXTENSION}?"
)
_SERVICE = re.compile(rf"([48]00)[-\s]?(\d{{3,4}})[-\s]?(\d{{3,4}}){_EXTENSION}?")
_SHORT = re.compile(rf"(95\d{{3,12}}){_EXTENSION}?")
_MASKED = re.compile(r"[\d*]{4,13}(?:-\d{1,6})?")
_FOREIGN = re.compile(r"(?:\+|00)(?!86)(\d{7,15})")
_DIGITS = re.compile(r"\d{5,15}")


def read_phone(text: str | None) -> Phone:
    """Read one cell. Several mobiles in one cell: the first counts."""
    plain = _plain(text or "")
    if _NOTHING.fullmatch(plain):
        return Phone(None, 0)
    if _LOST.fullmatch(plain):
        return Phone(None, 0, "phone_lost_digits")
    found = _mobile(plain) or _other(plain)
    return found or Phone(None, 0, "phone_unreadable")


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).strip(" \t\r\n'`\"=\u200b\ufeff\u202a\u202c")
    plain = re.sub(r"[‐-―−]", "-", plain)
    return _LABEL.sub("", re.sub(r"(\d)\.0+$", r"\1", plain))


def _mobile(plain: str) -> Phone | None:
    first = _MOBILE.match(plain)
    if first is None:
        return None
    number, rest = "".join(first.groups()), plain[first.end() :]
    extension = re.fullmatch(rf"{_EXTENSION}\s*", rest)
    if extension:
        return Phone(f"{number}-{extension.group(1)}", 4)
    return Phone(number, 1) if _only_numbers(rest) else None


def _only_numbers(rest: str) -> bool:
    """Say whether what follows the first number is further numbers and nothing else."""
    left = _LANDLINE.sub("", _MOBILE.sub("", rest))
    return _BETWEEN.fullmatch(left) is not None


def _other(plain: str) -> Phone | None:
    if re.fullmatch(r"(?:尾号)?\d{4}", plain):
        return Phone(plain[-4:], 5)
    return _masked(plain) or _fixed(plain) or _phone_like(plain)


def _masked(plain: str) -> Phone | None:
    starred = re.sub(r"(?<=[\d*xX•●])[xX•●](?=[\d*xX•●])", "*", plain)
    compact = re.sub(r"^(?:\+|00)?86(?=1[\d*]{10})|\s", "", starred)
    if "*" in compact and _MASKED.fullmatch(compact) and re.search(r"\d", compact):
        return Phone(compact, 2)
    return None


def _fixed(plain: str) -> Phone | None:
    landline = _LANDLINE.fullmatch(plain)
    if landline:
        area, left, right, extension = landline.groups()
        return Phone(f"{area}-{left}{right}" + (f"-{extension}" if extension else ""), 3)
    if re.fullmatch(r"[2-8]\d{2,3}[-\s]?\d{4}", plain):
        return Phone(re.sub(r"\D", "", plain), 3)
    for shape in (_SERVICE, _SHORT):
        if found := shape.fullmatch(plain):
            *digits, extension = found.groups()
            number = "".join(digits)
            return Phone(f"{number}-{extension}", 4) if extension else Phone(number, 6)
    return None


def _phone_like(plain: str) -> Phone | None:
    compact = re.sub(r"[\s()-]", "", plain)
    if foreign := _FOREIGN.fullmatch(compact):
        return Phone(f"+{foreign.group(1)}", 6)
    # A mobile with a digit too few or too many is a slip that somebody can put right.
    slip = re.fullmatch(r"(?:86)?1[3-9]\d{8}|(?:86)?1[3-9]\d{10,}", compact)
    return Phone(compact, 6) if _DIGITS.fullmatch(compact) and not slip else None
