"""Addresses within free text: divisions of the official list, roads with numbers, rooms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["Places"]

_HAN = r"[\u4e00-\u9fff]"
_NUMERAL = r"(?:[A-Za-z]?\d{1,5}[A-Za-z]?|[A-Za-z]|[一二三四五六七八九十百]{1,4}|[甲乙丙丁])"
_LEAD = (
    "送到|送至|寄到|寄往|寄去|转到|转寄|改到|改寄|改成|改为|搬到|搬去|住在|家住|地址|放到"
    "|放在|位于|就在|到了|住|放|在|到|去|往|寄|送|是|请|给|和|了|从"
)
_ROAD = (
    rf"(?:(?!{_LEAD}){_HAN}{{1,8}}?(?:大道|大街|路|街|巷|弄|胡同)"
    rf"(?:[东西南北中]|[一二三四五六七八九十]段)?)"
)
_NUMBER = rf"(?:\s*{_NUMERAL}\s*(?:号院|号楼|号(?![柜架机格排])|弄)(?:之\d)?)"
_ESTATE = (
    rf"(?:(?!{_LEAD})[\u4e00-\u9fffA-Za-z]{{1,10}}?(?:小区|花园|公寓|大厦|家园|新村|工业园|产业园|科技园|宿舍|公馆|广场"
    r"|雅苑|新苑|佳苑|花苑|名苑|嘉园|苑|湾|湾畔|名邸|府邸|悦府|里|城|府|村|居|大院))"
)
_BLOCK = rf"(?:\s*{_NUMERAL}\s*(?:栋|幢|号楼|座|号院))"
_UNIT = rf"(?:\s*{_NUMERAL}\s*单元)"
_FLOOR = rf"(?:\s*{_NUMERAL}\s*(?:楼|层))"
_ROOM = rf"(?:\s*{_NUMERAL}\s*(?:室|房(?!间|门)|户)|\s*\d{{3,4}}(?![\d元块天件个号点分斤克gk]))"
_DASHED = r"(?:\s*\d{1,3}(?:[-#]\d{1,4}){1,3}(?![\d]))"
_HOME = rf"(?:(?:{_BLOCK}|{_UNIT}|{_DASHED}){_UNIT}?{_FLOOR}?{_ROOM}?|{_FLOOR}?{_ROOM})"
# A part of an address whose own name says nothing, known by the number behind it: 万科城3栋.
_QUIET = r"(?:\s?(?![取件码单号电话找收付元请打来备已])[\u4e00-\u9fffA-Za-z]){0,9}?"
_PART = (
    rf"(?:{_QUIET}(?:{_BLOCK}|{_UNIT}|{_FLOOR}|{_ROOM}|{_DASHED}"
    rf"|\s*{_NUMERAL}\s*(?:组|队|号(?![柜架机格排码]))))"
)
_WITHIN = rf"(?:{_ROAD}{_NUMBER}{_FLOOR}?|{_ESTATE}{_NUMBER}?{_HOME})(?:{_ESTATE})?{_PART}*"
_LOOSE = re.compile(
    rf"{_WITHIN}|{_BLOCK}{_UNIT}?{_FLOOR}?{_ROOM}|{_BLOCK}{_UNIT}|{_UNIT}{_FLOOR}?{_ROOM}"
)
_BEHIND = re.compile(
    rf"\s*(?:{_HAN}{{1,6}}?(?:街道|镇|乡)\s*)?"
    rf"(?:{_ROAD}?{_NUMBER}|{_ROAD}|{_HAN}{{1,8}}?(?:村|社区|屯|庄))?"
    rf"(?:\s*{_ESTATE})?{_PART}*(?:{_HAN}{{2,8}}(?:公司|大学|医院|学校|旁|对面))?"
)
# Nothing of a home can be told without one of these.
_INSIDE = re.compile(r"[号弄栋幢座元室房户楼层]|\d")
_ENDS = re.compile(r"[省市区县旗州盟]|自治")


class Places:
    """Finds addresses. ``names``: official divisions as they are written, full and short."""

    def __init__(self, full: Iterable[str], short: Iterable[str]) -> None:
        self._full = frozenset(full)
        self._short = frozenset(short)
        self._longest = max(map(len, self._full), default=0)

    def find(self, plain: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of addresses. A division alone is none: it is where a city is."""
        at = 0
        while _ENDS.search(plain, at) and (front := self._front(plain, at)) is not None:
            start, end, count = front
            behind = _BEHIND.match(plain, end)
            reach = behind.end() if behind else end
            if count > 1 or reach > end:
                yield start, reach
            at = max(reach, end)
        if not _INSIDE.search(plain):
            return
        for found in _LOOSE.finditer(plain):
            start = found.start() + len(found.group()) - len(found.group().lstrip())
            yield start, found.end()

    def _front(self, plain: str, at: int) -> tuple[int, int, int] | None:
        """Return start, end and number of the first chain of divisions from ``at`` on."""
        for start in range(at, len(plain) - 1):
            end, count, full = start, 0, 0
            while (step := self._one(plain, end)) is not None:
                size, is_full = step
                end, count, full = end + size, count + 1, full + is_full
                while end < len(plain) and plain[end] in " -/" and self._one(plain, end + 1):
                    end += 1
            if full:
                return start, end, count
        return None

    def _one(self, plain: str, start: int) -> tuple[int, bool] | None:
        for size in range(min(self._longest, len(plain) - start), 1, -1):
            word = plain[start : start + size]
            if word in self._full:
                return size, True
            if word in self._short:
                return size, False
        return None
