"""What a cell looks like, without knowing what it should be: number, date, text, nothing."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_blank", "is_label", "is_year", "kind_of"]

_NOTHING = {"", "-", "--", "—", "n/a", "na", "#n/a", "nan", "null", "none", "..", ".", "?", "无"}
_NUMBER = re.compile(
    r"[-+(]?\s?[$€£¥￥]?\s?(?:\d{1,3}(?:[,.' ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[.,]\d+)"
    r"(?:e[-+]?\d+)?\s?[%€$£元)]?",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:\d{4}[-/.年]\s?\d{1,2}(?:[-/.月]\s?\d{1,2}日?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|\d{1,2}[- ][a-z]{3,9}[- ,]+\d{2,4}|[a-z]{3,9} \d{1,2},? \d{4})"
    r"(?:[ T]\s?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:[ap]m|z|[-+]\d{2}:?\d{2})?)?"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[ap]m)?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+|https?://\S+|(?:\d{1,3}\.){3}\d{1,3}")
_CODE = re.compile(r"(?=.*\d)[A-Za-z]{0,6}[-_/#]?\d[\w\-/#.]*")


def kind_of(cell: str) -> str:
    """Return ``""`` (nothing), ``number``, ``date``, ``address``, ``code`` or ``text``."""
    text = unicodedata.normalize("NFKC", cell).strip().strip("'\"")
    if text.casefold() in _NOTHING:
        return ""
    if _NUMBER.fullmatch(text):
        return "number"
    if _DATE.fullmatch(text):
        return "date"
    if _ADDRESS.fullmatch(text):
        return "address"
    return "code" if len(text) >= 3 and _CODE.fullmatch(text) else "text"


def is_blank(cells: tuple[str, ...]) -> bool:
    """Say whether a record has nothing in it."""
    return not any(map(str.strip, cells))


def is_year(cell: str) -> bool:
    """Say whether a cell is a year (or a year and month), as the name of a column may be."""
    return (
        re.fullmatch(r"\s*(?:1[89]|2[01])\d\d(?:[-/.]?(?:0?[1-9]|1[0-2])|Q[1-4])?\s*", cell)
        is not None
    )


_LABEL = re.compile(
    r"(?:.*[_\s.])?(?:id|no|num(?:ber)?|code|name|title|date|time|year|month|day|type|kind|status|"
    r"state|city|country|region|address|phone|mobile|email|url|price|cost|amount|total|value|count|"
    r"qty|quantity|rate|score|age|sex|gender|category|class|group|description|notes?|comments?|"
    r"remarks?|lat(?:itude)?|lon(?:gitude)?|lng|label|key|text|unit|level|rank|"
    r"weight|height|width|length|size|color|colour|species|index|timestamp|"
    r"first|last|source|target|from|to|x|y|z|word|item|product|user|department)s?",
    re.IGNORECASE,
)
_CHINESE_LABEL = re.compile(
    r".*(?:号|号码|编号|序号|姓名|名称|名|日期|时间|年份|月份|类型|类别|种类|状态|地址|电话|手机|邮箱|金额|价格|"
    r"数量|单价|总价|备注|说明|单位|地区|省份|城市|省|市|区县|性别|年龄|年级|班级|部门|职务|品牌|规格|型号|"
    r"重量|费用|運單號|電話|姓名|備註|地址|時間|狀態|收件人|寄件人|公司|取件码|库位|等级|分数|成绩|指标|来源|代码)"
    r"(?:[(（\[【].*[)）\]】])?"
)


def is_label(cell: str) -> bool:
    """Say whether a cell is a word that columns are called by."""
    text = unicodedata.normalize("NFKC", cell).strip().strip("'\"*:# ")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    return (
        bool(text)
        and len(text) <= 40
        and (_LABEL.fullmatch(words) is not None or _CHINESE_LABEL.fullmatch(text) is not None)
    )
