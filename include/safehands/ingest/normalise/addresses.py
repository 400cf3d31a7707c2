"""Addresses split into province, city, district, street and detail by the official divisions.

The lists are those of the National Bureau of Statistics (``policy/divisions.csv`` and
``policy/streets.csv``). What they do not know stays in the detail: nothing is guessed, and no
part is made of a name that several places share.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

__all__ = ["Address", "Divisions", "load_streets", "looks_like_address", "short_names"]

UNKNOWN = 0


@dataclass(frozen=True)
class Address:
    """An address in parts; ``code`` is the district's (GB/T 2260), 0 where it is not known.

    Parts have their official names, also where the text used short ones; a municipality's city is
    its own name. Together they say what the text said.
    """

    province: str = ""
    city: str = ""
    district: str = ""
    street: str = ""
    detail: str = ""
    code: int = UNKNOWN

    def __repr__(self) -> str:
        return f"Address(code={self.code})"


_LABEL = re.compile(r"^(?:收[件货]?地址|详细地址|地址|送至|寄往|中国)\s*[:：]?\s*")
_GAP = re.compile(r"^[\s,，、\-/|·>]+")
_VIRTUAL = frozenset(("市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"))
_PROVINCE_END = re.compile(r"(?:特别行政区|维吾尔自治区|壮族自治区|回族自治区|自治区|省|市)$")
_CITY_END = re.compile(r"(?:(?:[\u4e00-\u9fff]{1,3}族)*自治州|地区|市|州|盟)$")
_DISTRICT_END = re.compile(r"(?:(?:[\u4e00-\u9fff]{1,4}族)*自治[县旗]|新区|[区县市旗])$")
_STREET_END = re.compile(r"(?:街道|地区|(?:[\u4e00-\u9fff]{1,3}族)*乡|镇)$")
_NOT_SHORT = frozenset("路街道巷弄里大中东西南北一二三四五六七八九十新老站桥镇乡村公广")
"""What follows a short name that is no division but the name of a road: 南山大道."""
_STREET_FORM = re.compile(r"^([\u4e00-\u9fff]{1,6}?(?:街道办事处|街道办|街道|镇|(?:族)?乡|苏木))")
_ROADS = re.compile(r"[路街巷弄号](?!道)")
_NATIONS = (
    "壮族|回族|维吾尔|哈萨克|蒙古|藏族|彝族|苗族|土家族|侗族|布依族"
    "|朝鲜族|傣族|白族|哈尼族|景颇族|傈僳族|羌族|柯尔克孜|黎族|瑶族|满族|蒙古族"
)
_NATION = re.compile(rf"(?:{_NATIONS})+$")


class Divisions:
    """Splits addresses. Made from policy's rows (code, province, city, district) and streets."""

    def __init__(
        self,
        rows: Iterable[tuple[int, str, str, str]],
        streets: Mapping[int, tuple[str, ...]] | None = None,
    ) -> None:
        self._rows = tuple(rows)
        self._streets = streets or {}

    def split(self, text: str) -> Address:
        """Split one address. Spaces and separators between the parts do not matter."""
        rest = _LABEL.sub("", _plain(text))
        place = self._place(rest)
        if place is None:
            return Address(detail=rest)
        street, detail = self._street(place.rest, place.code)
        return Address(place.province, place.city, place.district, street, detail, place.code)

    def split_column(self, column: pa.Array) -> pa.StructArray:
        """Split a column: a struct of the five texts and ``code`` (int32); null stays null.

        Each distinct text is looked at once.
        """
        encoded = column.dictionary_encode()
        found = [self.split(text) for text in encoded.dictionary.to_pylist()]
        arrays = [pa.array([getattr(a, name) for a in found], kind) for name, kind in _FIELDS]
        split = pa.StructArray.from_arrays(arrays, fields=[pa.field(n, k) for n, k in _FIELDS])
        return split.take(encoded.indices)

    def _place(self, rest: str) -> _Place | None:
        """Read province first, then city first (吉林市 is no province), then a district alone."""
        named = self._named(rest)
        for found in (named, self._city_first(rest), self._alone(rest)):
            if found is not None and found.code:
                return found
        # 上海路, 朝阳区: the short name of a place that begins the name of something else.
        return None if named is None or _doubtful(rest, named) else named

    def _city_first(self, rest: str) -> _Place | None:
        owner, tail = _longest(rest, self._index.all_cities)
        return None if owner is None else self._district_of(owner, _ungap(tail))

    def _named(self, rest: str) -> _Place | None:
        """Read province or city and what is below, from the front of ``rest``."""
        province, after = _longest(rest, self._index.provinces)
        owner, tail = self._city(province, _ungap(after))
        if owner is not None and (found := self._district_of(owner, tail)):
            return found
        below = re.sub(r"^(?:省|自治区)直辖县级行政区划", "", _ungap(after))
        if province is not None and (found := self._district_in(province, _ungap(below))):
            return found
        if owner is not None:
            return _Place(owner[0], owner[1], "", UNKNOWN, tail)
        return None if province is None else _Place(province, "", "", UNKNOWN, tail)

    def _city(self, province: str | None, after: str) -> tuple[tuple[str, str] | None, str]:
        scope = self._index.all_cities if province is None else self._index.cities[province]
        owner, tail = _longest(after, scope)
        if owner is None and province in self._index.municipal:
            return (province, province), after
        return owner, _ungap(tail)

    def _district_of(self, owner: tuple[str, str], tail: str) -> _Place | None:
        virtual, tail_after = _longest(tail, {name: name for name in _VIRTUAL if len(name) > 1})
        tail = _ungap(tail_after) if virtual else tail
        row, after = _longest(tail, self._index.districts[owner])
        if row is None:
            row, after = _longest_short(tail, self._index.short_districts[owner])
        return self._of_row(row, after) if row is not None else None

    def _district_in(self, province: str, tail: str) -> _Place | None:
        row, after = _longest(tail, self._index.in_province[province])
        if row is None:
            row, after = _longest_short(tail, self._index.short_in_province[province])
        return self._of_row(row, after) if row is not None else None

    def _alone(self, rest: str) -> _Place | None:
        row, after = _longest(rest, self._index.alone)
        return self._of_row(row, after) if row is not None else None

    def _of_row(self, row: int, after: str) -> _Place:
        code, province, city, district = self._rows[row]
        city = province if city in _VIRTUAL and province in self._index.municipal else city
        return _Place(province, "" if city in _VIRTUAL else city, district, code, _ungap(after))

    def _street(self, rest: str, code: int) -> tuple[str, str]:
        listed = self._street_index.get(code)
        if listed is None:
            listed = self._street_index[code] = _street_names(self._streets.get(code, ()))
        name, after = _longest(rest, listed)
        if name is not None:
            return name, _ungap(re.sub(r"^(?:办事处|办)", "", after))
        found = _STREET_FORM.match(rest)
        if found is None or _ROADS.search(found.group(1)):
            return "", rest
        street = re.sub(r"办(?:事处)?$", "", found.group(1))
        return street, _ungap(rest[found.end() :])

    @cached_property
    def _index(self) -> _Index:
        return _Index.of(self._rows)

    @cached_property
    def _street_index(self) -> dict[int, dict[str, str]]:
        return {}


_FIELDS = (
    ("province", pa.string()),
    ("city", pa.string()),
    ("district", pa.string()),
    ("street", pa.string()),
    ("detail", pa.string()),
    ("code", pa.int32()),
)


@dataclass(frozen=True)
class _Place:
    province: str
    city: str
    district: str
    code: int
    rest: str


@dataclass
class _Index:
    """Names, full and short, to what they mean; a name that means two things is left out."""

    provinces: dict[str, str] = field(default_factory=dict)
    municipal: set[str] = field(default_factory=set)
    cities: dict[str, dict[str, tuple[str, str]]] = field(default_factory=lambda: defaultdict(dict))
    all_cities: dict[str, tuple[str, str]] = field(default_factory=dict)
    districts: dict[tuple[str, str], dict[str, int]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    short_districts: dict[tuple[str, str], dict[str, int]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    in_province: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    short_in_province: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    alone: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: tuple[tuple[int, str, str, str], ...]) -> _Index:
        index = cls()
        for number, (_, province, city, district) in enumerate(rows):
            index.provinces |= {province: province, _PROVINCE_END.sub("", province): province}
            if city in _VIRTUAL and province.endswith("市"):
                index.municipal.add(province)
            index._add_city(province, city)
            index._add_district(number, province, city, district)
        for province in index.municipal:
            short = _PROVINCE_END.sub("", province)
            index.cities[province] |= {province: (province, province), short: (province, province)}
        index._drop_doubtful()
        return index

    def _add_city(self, province: str, city: str) -> None:
        if city in _VIRTUAL:
            return
        short = _NATION.sub("", _CITY_END.sub("", city))
        for name in {city, short, f"{short}州" if city.endswith("州") else city}:
            if len(name) > 1:
                self.cities[province][name] = (province, city)
                self.all_cities[name] = (province, city)

    def _add_district(self, number: int, province: str, city: str, district: str) -> None:
        owner = (province, province if province in self.municipal else city)
        short = _NATION.sub("", _DISTRICT_END.sub("", district))
        self.districts[owner][district] = number
        _claim(self.in_province[province], district, number)
        _claim(self.alone, district, number)
        if len(short) > 1 and short != district:
            _claim(self.short_districts[owner], short, number)
            if district.endswith(("市", "县")):
                _claim(self.short_in_province[province], short, number)

    def _drop_doubtful(self) -> None:
        tables = [self.alone, *self.in_province.values(), *self.short_districts.values()]
        for table in (*tables, *self.short_in_province.values()):
            for name in [name for name, row in table.items() if row == _TWO]:
                del table[name]


_TWO = -1


def _claim(table: dict[str, int], name: str, number: int) -> None:
    table[name] = _TWO if name in table else number


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).strip(" \t\r\n'`\"=")
    return re.sub(r"\s+", " ", plain)


def _ungap(text: str) -> str:
    return _GAP.sub("", text)


def _doubtful(text: str, found: _Place) -> bool:
    """Say whether a short name is followed by what makes it part of another name."""
    plain = text.replace(" ", "")
    named = found.city or found.province
    official = named in plain or not found.rest
    return not official and found.rest[:1] in _NOT_SHORT | frozenset("区县旗市")


_T = TypeVar("_T")


def _longest(text: str, names: Mapping[str, _T]) -> tuple[_T | None, str]:
    for size in range(min(len(text), 16), 1, -1):
        found = names.get(text[:size])
        if found is not None:
            return found, text[size:]
    return None, text


def _longest_short(text: str, names: Mapping[str, int]) -> tuple[int | None, str]:
    found, after = _longest(text, names)
    return (None, text) if found is None or after[:1] in _NOT_SHORT else (found, after)


def _street_names(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        found[name] = name
        if name.endswith("街道") and len(name) > 3:
            found.setdefault(name + "办事处", name)
    return found


def load_streets(path: Path) -> dict[int, tuple[str, ...]]:
    """Read ``policy/streets.csv``: district code → names of its towns and street offices.

    Raises ``OSError`` or ``ValueError`` when it is not there or not such a list.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        return {
            int(row["district"]): tuple(row["streets"].split()) for row in csv.DictReader(handle)
        }


_MARKS = re.compile(
    r"(?:省|自治区|[\u4e00-\u9fff]市|[\u4e00-\u9fff]区(?!域)|[\u4e00-\u9fff]县|街道|[\u4e00-\u9fff]镇|[\u4e00-\u9fff]乡)"
    r"|[\u4e00-\u9fff](?:大道|路|街|巷|弄|胡同|村|屯|小区|花园|公寓|大厦|广场|家园|新村|校区|工业园|产业园|宿舍|公馆|苑|湾)"
    r"|[\dA-Za-z一二三四五六七八九十百]+\s*(?:号楼|号院|号|栋|幢|座|单元|室|房|楼|层|组|队)"
)


def looks_like_address(cell: str) -> bool:
    """Say whether a whole cell can be an address: two marks of one, or one and a house number."""
    if not 5 <= len(cell) <= 120:
        return False
    marks = _MARKS.findall(cell)
    return len(marks) >= 2 or (len(marks) == 1 and bool(re.search(r"\d-\d|\d{3,4}$", cell)))


def short_names(rows: Iterable[tuple[int, str, str, str]]) -> tuple[set[str], set[str]]:
    """Return the full names of all divisions, and the short ones of provinces and cities."""
    full: set[str] = set()
    short: set[str] = set()
    for _, province, city, district in rows:
        full |= {province, district, *(() if city in _VIRTUAL else (city,))}
        short.add(_PROVINCE_END.sub("", province))
        if city not in _VIRTUAL:
            short.add(_NATION.sub("", _CITY_END.sub("", city)))
    return {name for name in full if len(name) > 2}, {name for name in short if len(name) > 1}
