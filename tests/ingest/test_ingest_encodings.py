"""Encodings are told apart by what the characters would be, and refused where that says nothing."""

from __future__ import annotations

import io

import pytest
from ingest_door import HEADER, Door, csv_text, rows

from safehands.errors import WrongEncoding
from safehands.ingest.encodings import Verdict, decide

SIMPLIFIED = "运单号,收件人,地址\nSF1,王小明,浙江省杭州市西湖区文三路\nSF2,欧阳婉清,请放门口\n"
NAMES = "name,phone\n赵灵犀,1\n阮鹿宁,2\n褚彤,3\n沈婧怡,4\n闫旭,5\n覃颖,6\n钱多多,7\n"
TRADITIONAL = "運單號,收件人姓名,電話\n陳美麗,臺北市信義區,請放門口櫃檯\n"
TAIWANESE = "name\n陳怡君\n林志豪\n張雅婷\n黃淑芬\n吳宗翰\n劉佩珊\n"
GERMAN = "Straße,Größe\nMüller,Köln\nSchröder,Düsseldorf\n"
PORTUGUESE = "São Paulo,coração,informações\n"


def verdict(data: bytes, western: bool = False) -> Verdict:
    return decide(io.BytesIO(data), "f", western)


@pytest.mark.parametrize("text", [SIMPLIFIED, NAMES, TRADITIONAL, TAIWANESE])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_chinese(text: str, encoding: str) -> None:
    found = verdict(text.encode(encoding), western=True)
    assert (found.encodings[0], found.certain) == (encoding, True)


@pytest.mark.parametrize("text", [TRADITIONAL, TAIWANESE])
def test_big5(text: str) -> None:
    found = verdict(text.encode("big5"), western=True)
    assert (found.encodings[0], found.certain) == ("big5", True)


@pytest.mark.parametrize("text", [GERMAN, PORTUGUESE])
def test_western_is_read_for_anybody_only(text: str) -> None:
    found = verdict(text.encode("cp1252"), western=True)
    assert (found.encodings[0], found.certain) == ("windows-1252", True)
    with pytest.raises(WrongEncoding):
        verdict(text.encode("cp1252"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("氏名,住所\n山田太郎,東京都渋谷区\nひらがなカタカナ\n", "shift_jis"),
        ("氏名,住所\n山田太郎,東京都渋谷区\nひらがなカタカナ\n", "euc_jp"),
        ("이름,주소\n김철수,서울특별시 강남구\n", "euc_kr"),
        ("Имя,Адрес\nИван,Москва\n", "cp1251"),
        ("Имя,Адрес\nИван,Москва\n", "koi8_r"),
    ],
)
def test_other_scripts_are_never_certain(text: str, encoding: str) -> None:
    try:
        found = verdict(text.encode(encoding), western=True)
    except WrongEncoding:
        return
    assert not found.certain


def test_the_first_chinese_may_come_late() -> None:
    head = "id,remark\n" + "1,plain\n" * 200_000
    found = verdict((head + "2,请放门口\n").encode("gb18030"))
    assert (found.encodings[0], found.certain) == ("gb18030", True)
    assert verdict((head + "2,请放门口\n").encode()).encodings[0] == "utf-8"


def test_an_unclear_encoding_needs_a_header_that_speaks_for_it(door: Door) -> None:
    """The same few odd bytes: believed below a Chinese header, refused below an English one."""
    odd = "爩齉"  # Rare characters, which say nothing.
    body = [[*row[:1], odd, *row[2:6], ""] for row in rows(4)]
    for row in body:
        row[5] = "2"
    found = door.one("a.csv", csv_text([HEADER, *body]).encode("gb18030"))
    assert found[0]["receiver_name"] == odd
    english = [
        "waybill_no",
        "receiver_name",
        "receiver_phone",
        "in_time",
        "weight",
        "status",
        "remark",
    ]
    problem = door.refused("a.csv", csv_text([english, *body]).encode("gb18030"))
    assert problem.key in {"ingest.encoding_unclear", "ingest.wrong_encoding"}
