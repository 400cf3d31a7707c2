"""Addresses put together from the official divisions in the ways people write them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LabelledAddress", "labelled_addresses"]

Row = tuple[int, str, str, str]


@dataclass(frozen=True)
class LabelledAddress:
    """A text, how it is written, and what it says; ``code`` 0: its district can't be known."""

    form: str
    text: str
    code: int
    street: str
    detail: str


_ENDS = re.compile(r"(?:特别行政区|维吾尔自治区|壮族自治区|回族自治区|自治区|省|市|地区|盟)$")
_VIRTUAL = {"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"}
_DETAILS = (
    "长江路12号3栋402",
    "文昌街8号",
    "人民大道1号科技楼",
    "幸福小区6号楼",
    "解放东路99号院2单元",
)
_NOWHERE = (
    *(
        "上海路5号",
        "南京东路100号",
        "朝阳区建国路1号",
        "北京大道3号",
        "鼓楼区中山路",
        "中山路18号",
        "城关区2号",
        "新华区体育馆",
        "西湖路7号",
    ),
    *(
        "杭州路12号2楼",
        "河南中路88号",
        "和平区南京街",
        "长春街9号",
        "向阳小区3栋",
        "桥西区5号",
        "广东街1号",
        "重庆道22号",
        "青岛路小学",
    ),
)


def labelled_addresses(
    seed: int, rows: Sequence[Row], streets: Mapping[int, tuple[str, ...]], count: int
) -> list[LabelledAddress]:
    """Return ``count`` addresses of each form."""
    rng = random.Random(seed)
    alone = _unique(rows)
    found = []
    for form in ("full", "spaced", "no_province", "short", "street", "district_alone"):
        pool = alone if form == "district_alone" else list(rows)
        found += [_made(rng, form, rng.choice(pool), streets) for _ in range(count)]
    found += [LabelledAddress("nowhere", text, 0, "", text) for text in _NOWHERE]
    return found


def _unique(rows: Sequence[Row]) -> list[Row]:
    names = [row[3] for row in rows]
    return [row for row in rows if names.count(row[3]) == 1]


def _made(
    rng: random.Random, form: str, row: Row, streets: Mapping[int, tuple[str, ...]]
) -> LabelledAddress:
    code, province, city, district = row
    city = "" if city in _VIRTUAL else city
    detail = rng.choice(_DETAILS)
    street = rng.choice(streets[code]) if form == "street" else ""
    if form == "spaced":
        text = f"{province} {city} {district} {detail}"
    elif form == "no_province":
        text = f"{city or province}{district}{detail}"
    elif form == "short":
        text = f"{_ENDS.sub('', province)}{_ENDS.sub('', city)}{district}{detail}"
    elif form == "district_alone":
        text = f"{district}{detail}"
    else:
        text = f"{province}{city}{district}{street}{detail}"
    return LabelledAddress(form, text, code, street, detail)
