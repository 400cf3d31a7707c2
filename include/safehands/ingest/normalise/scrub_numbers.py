"""Phones and ID numbers within free text, and the numbers that only look like them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehands.ingest.detect.digits import is_id_number, is_old_id_number

__all__ = ["harmless", "id_numbers", "phones"]

Found = Iterator[tuple[int, int]]

_HARMLESS = re.compile(
    # A number that says what it is: waybills, orders, codes.
    r"(?:运单|单号|快递号|面单|订单|编号|条码|取件码|提货码|取货码|尾单|邮件号|货号)[号码]?"
    r"\s*[:是为#]?\s*[A-Za-z]{0,5}[\d-]{4,}"
    # Letters in front make a number a carrier's, unless they are a messenger's or a label.
    r"|(?<![A-Za-z])(?!(?:wx|vx|tel|qq|mob|ph|v)[\d:])[A-Za-z]{1,5}\d{9,18}(?:[A-Za-z]{2})?(?![\dA-Za-z])"
    # Sums of money, with their sign or unit.
    r"|[¥￥]\s*[\d,.]+|\d[\d,.]*\s*(?:元|块钱|rmb)"
    # Dates and times.
    r"|(?:19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?"
    r"(?:[ T]?\d{1,2}[:时点]\d{1,2}(?:[:分]\d{1,2}秒?)?)?"
    r"|(?<!\d)20[0-4]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?(?!\d)",
    re.IGNORECASE,
)


def harmless(plain: str) -> Found:
    """Yield where numbers are waybills, codes, sums or dates."""
    for found in _HARMLESS.finditer(plain):
        yield found.span()


_GAP = r"[ \-.·_]?"
_ID = re.compile(
    rf"(?<![\dA-Za-z])\d{{6}}{_GAP}\d{{4}}{_GAP}\d{{4}}{_GAP}\d{{3}}[\dXx](?![\dA-Za-z])"
)
_OLD_ID = re.compile(r"(?<![\dA-Za-z])\d{15}(?![\dA-Za-z])")
_NAMED_ID = re.compile(
    r"(?:身份证|证件)(?:号码?|[:])?\s*[:是为]?\s*(?P<id>[\dXx][\dXx *-]{6,20}[\dXx])"
    r"|(?:护照|通行证|港澳证|台胞证)(?:号码?)?\s*[:是为]?\s*(?P<passport>[A-Za-z]{1,2}\d{7,9})"
    r"|(?:身份证|证件)(?:后[四六46]位|尾号)\s*[:是为]?\s*(?P<tail>\d{3,5}[\dXx])"
)


def id_numbers(plain: str) -> Found:
    """Yield ID numbers: with a right check digit, or named as such, also passports and tails."""
    for found in _NAMED_ID.finditer(plain):
        yield found.span(found.lastgroup or 0)
    for found in _ID.finditer(plain):
        if is_id_number(re.sub(r"[^\dXx]", "", found.group())):
            yield found.span()
    for found in _OLD_ID.finditer(plain):
        if is_old_id_number(found.group()):
            yield found.span()


_PHONES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<!\d)(?<!\d[.-])(?:(?:\+|00)?86[-\s]?)?1[3-9]\d[\s\-._·]*\d{4}[\s\-._·]*\d{4}(?![\d*])"
        r"(?:\s*(?:转|分机|,|-|#)\s*\d{2,6}(?!\d))?",
        # Cut anywhere, once or after every digit.
        r"(?<!\d)1[3-9](?:[\s\-._]?\d){9}(?!\d)",
        r"(?<!\d)1[\s\-._]+[3-9](?:[\s\-._]*\d){9}(?!\s?\d)",
        r"(?<!\d)(?<!\d-)\(?0(?:10|2\d|[3-9]\d\d)\)?[-\s]?[2-8]\d{2,3}[-\s]?\d{4}(?!\d)"
        r"(?:\s*(?:转|-)\s*\d{1,5}(?!\d))?",
        r"(?<!\d)[48]00[-\s]\d{3,4}[-\s]?\d{3,4}(?!\d)",
        # Letters for digits, to get past a filter.
        r"(?<![\dA-Za-z])[1lI][3-9][\doOlI]{9}(?![\dA-Za-z])",
        r"(?<![\d-])\+(?!86)\d{1,3}[-\s]?\d{4}[-\s]?\d{4}(?!\d)",
    )
)
_NAMED_PHONE = re.compile(
    r"(?:座机|固话|电话|手机|联系|tel|短号|微信|[vV]信|[vV][xX]|[wW][xX]|[qQ]{2}|扣扣)号?码?"
    r"\s*[:是为打]?\s*(?P<value>(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{5,20})"
)
_NUMERALS = "零〇一二三四五六七八九幺两壹贰叁肆伍陆柒捌玖"
_SPELT = re.compile(rf"[一幺壹][{_NUMERALS}\s]{{9,16}}[{_NUMERALS}]")


def phones(plain: str) -> Found:
    """Yield mobile and fixed-line numbers however they are cut, and named messenger ids."""
    for pattern in _PHONES:
        for found in pattern.finditer(plain):
            yield found.span()
    for found in _SPELT.finditer(plain):
        if len(re.sub(r"\s", "", found.group())) == 11:
            yield found.span()
    for found in _NAMED_PHONE.finditer(plain):
        yield found.span("value")
